{
  # CMakeLists.txt is the build. This is the face that node-gyp-build and prebuildify expect:
  # `node-gyp rebuild` clears build/ and then hands over to native/build.mjs.
  'targets': [
    {
      'target_name': 'voxpod',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake',
          'inputs': ['CMakeLists.txt'],
          'outputs': ['<(PRODUCT_DIR)/voxpod.node', '<(PRODUCT_DIR)/voxpod_loader.so'],
          'action': ['node', 'native/build.mjs'],
        },
      ],
    },
  ],
}
