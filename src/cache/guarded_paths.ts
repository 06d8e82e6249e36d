/**
 * Every temporary, cache and build path that this worker, or a program it starts, would otherwise put
 * on the disk of the operating system: 5 to 20 GB in a RunPod container, and full after one model.
 * The image sets the same variables (Dockerfile.runpod), and docs/storage.md lists them.
 */
export interface GuardedPath {
  variable: string;
  /** Below the scratch folder. */
  folder: string;
  usedBy: string;
  /** What is used where nothing is set. */
  otherwise: string;
}

export const GUARDED_PATHS: readonly GuardedPath[] = [
  path('TMPDIR', 'tmp', 'Node, Python, pip, ffmpeg and every other program', '/tmp'),
  path('TMP', 'tmp', 'programs that do not read TMPDIR', '/tmp'),
  path('TEMP', 'tmp', 'programs that do not read TMPDIR', '/tmp'),
  path('XDG_CACHE_HOME', 'cache', 'programs that follow the XDG rules', '~/.cache'),
  path(
    'HF_HOME',
    'huggingface',
    "Hugging Face's libraries: tokens, modules",
    '~/.cache/huggingface',
  ),
  path(
    'HF_XET_CACHE',
    'huggingface/xet',
    "Hugging Face's xet downloads",
    '~/.cache/huggingface/xet',
  ),
  path(
    'HF_ASSETS_CACHE',
    'huggingface/assets',
    "Hugging Face's libraries",
    '~/.cache/huggingface/assets',
  ),
  path(
    'HF_DATASETS_CACHE',
    'huggingface/datasets',
    "Hugging Face's datasets",
    '~/.cache/huggingface/datasets',
  ),
  path('TORCH_HOME', 'torch', 'torch.hub in Python', '~/.cache/torch'),
  path(
    'TORCH_EXTENSIONS_DIR',
    'torch/extensions',
    'extensions that torch compiles',
    '~/.cache/torch_extensions',
  ),
  path('TORCHINDUCTOR_CACHE_DIR', 'torch/inductor', 'torch.compile', '/tmp/torchinductor_USER'),
  path('TRITON_CACHE_DIR', 'triton', 'kernels that Triton compiles', '~/.triton/cache'),
  path('CUDA_CACHE_PATH', 'cuda', "kernels that CUDA's driver compiles", '~/.nv/ComputeCache'),
  path(
    'NUMBA_CACHE_DIR',
    'numba',
    'functions that numba compiles',
    '__pycache__ beside the sources',
  ),
  path('PIP_CACHE_DIR', 'pip', 'pip, for wheels that it downloads', '~/.cache/pip'),
  path(
    'PYTHONPYCACHEPREFIX',
    'pycache',
    'Python, for compiled modules',
    '__pycache__ beside the sources',
  ),
  path('npm_config_cache', 'npm', 'npm, for packages that it downloads', '~/.npm'),
  path('npm_config_devdir', 'node-gyp', "node-gyp, for Node's headers", '~/.cache/node-gyp'),
  path('NODE_COMPILE_CACHE', 'node', 'Node 22, for compiled modules', 'not used'),
  path('CCACHE_DIR', 'ccache', 'ccache', '~/.cache/ccache'),
  path('MPLCONFIGDIR', 'matplotlib', 'matplotlib', '~/.cache/matplotlib'),
];

/** These name the models' tier itself, so that Python children find what is there already. */
export const MODEL_CACHE_VARIABLES = ['HF_HUB_CACHE', 'TRANSFORMERS_CACHE'] as const;

function path(variable: string, folder: string, usedBy: string, otherwise: string): GuardedPath {
  return { variable, folder, usedBy, otherwise };
}
