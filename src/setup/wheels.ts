/**
 * The wheels that libtorch is taken from, and what is kept of them. Versions are those that torch
 * 2.11.0's own metadata asks for (Requires-Dist, and cuda-toolkit 13.0.2's for its extras).
 */
import { TORCH_VERSION } from '../../lib/libtorch.js';

export interface PinnedWheel {
  /** "name==version" for pip. */
  requirement: string;
  /** Bytes of the wheel. */
  size: number;
  sha256: string;
  /** Bytes of what is kept of it, unpacked. */
  unpacked: number;
  /** Paths in the wheel of the libraries that are kept; all go into lib/. */
  libraries: RegExp;
}

/** One interpreter's tags for everybody, so that pip takes the same file whatever Python runs it. */
export const WHEEL_TAGS: readonly string[] = [
  ...['--implementation', 'cp', '--python-version', '3.11', '--abi', 'cp311'],
  // pip does not take manylinux_2_28 to include the older ones.
  ...Array.from({ length: 24 }, (_, i) => ['--platform', `manylinux_2_${28 - i}_x86_64`]).flat(),
  ...['--platform', 'manylinux2014_x86_64', '--platform', 'linux_x86_64'],
];

/** Bytes of the headers, unpacked. */
export const HEADERS_BYTES = 62_000_000;

const CPU_LIBRARIES = /^torch\/lib\/(libc10|libtorch_cpu|libgomp[^/]*)\.so(\.1)?$/;
/** Without libtorch_python, libshm and libtorch_global_deps, which serve Python. */
const CUDA_LIBRARIES =
  /^torch\/lib\/(libc10|libc10_cuda|libcaffe2_nvrtc|libgomp[^/]*|libtorch|libtorch_(cpu|cuda|cuda_linalg|nvshmem))\.so(\.1)?$/;

const TORCH = {
  requirement: `torch==${TORCH_VERSION}`,
  size: 530_604_548,
  sha256: '7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a',
};

/** libtorch_cpu of this build names libcudart and libcupti as needed, GPU or not. */
const CPU_NVIDIA: readonly PinnedWheel[] = [
  {
    requirement: 'nvidia-cuda-runtime==13.0.96',
    size: 2_243_632,
    sha256: '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
    unpacked: 704_288,
    libraries: /\/libcudart\.so\.13$/,
  },
  {
    requirement: 'nvidia-cuda-cupti==13.0.85',
    size: 10_715_597,
    sha256: '4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8',
    unpacked: 4_152_208,
    libraries: /\/libcupti\.so\.13$/,
  },
];

export const CPU_WHEELS: readonly PinnedWheel[] = [
  { ...TORCH, unpacked: 452_962_107, libraries: CPU_LIBRARIES },
  ...CPU_NVIDIA,
];

export const CUDA_WHEELS: readonly PinnedWheel[] = [
  { ...TORCH, unpacked: 967_640_463, libraries: CUDA_LIBRARIES },
  ...CPU_NVIDIA,
  {
    requirement: 'nvidia-cublas==13.1.0.3',
    size: 423_133_236,
    sha256: 'ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171',
    unpacked: 595_773_576,
    libraries: /\/libcublas(Lt)?\.so\.13$/,
  },
  {
    requirement: 'nvidia-cuda-nvrtc==13.0.88',
    size: 90_215_200,
    sha256: 'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
    unpacked: 113_718_680,
    libraries: /\/libnvrtc(-builtins)?\.so\.13(\.0)?$/,
  },
  {
    requirement: 'nvidia-cufft==12.0.0.61',
    size: 214_085_489,
    sha256: '6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3',
    unpacked: 286_542_352,
    libraries: /\/libcufft\.so\.12$/,
  },
  {
    requirement: 'nvidia-cufile==1.15.1.6',
    size: 1_223_672,
    sha256: '08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44',
    unpacked: 3_170_800,
    libraries: /\/libcufile\.so\.0$/,
  },
  {
    requirement: 'nvidia-curand==10.4.0.35',
    size: 59_544_258,
    sha256: '1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc',
    unpacked: 132_698_328,
    libraries: /\/libcurand\.so\.10$/,
  },
  {
    requirement: 'nvidia-cusolver==12.0.4.66',
    size: 200_941_980,
    sha256: '0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112',
    unpacked: 141_152_872,
    libraries: /\/libcusolver\.so\.12$/,
  },
  {
    requirement: 'nvidia-cusparse==12.6.3.3',
    size: 145_942_937,
    sha256: '2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b',
    unpacked: 162_565_256,
    libraries: /\/libcusparse\.so\.12$/,
  },
  {
    requirement: 'nvidia-nvjitlink==13.0.88',
    size: 40_713_933,
    sha256: '13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b',
    unpacked: 98_806_736,
    libraries: /\/libnvJitLink\.so\.13$/,
  },
  {
    requirement: 'nvidia-cudnn-cu13==9.19.0.56',
    size: 366_066_321,
    sha256: 'd20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf',
    unpacked: 493_410_288,
    libraries: /\/libcudnn\w*\.so\.9$/,
  },
  {
    requirement: 'nvidia-cusparselt-cu13==0.8.0',
    size: 169_884_119,
    sha256: '25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd',
    unpacked: 233_613_145,
    libraries: /\/libcusparseLt\.so\.0$/,
  },
  {
    requirement: 'nvidia-nccl-cu13==2.28.9',
    size: 196_493_177,
    sha256: 'e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42',
    unpacked: 217_995_896,
    libraries: /\/libnccl\.so\.2$/,
  },
  {
    requirement: 'nvidia-nvshmem-cu13==3.4.5',
    size: 60_412_546,
    sha256: '290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80',
    unpacked: 41_241_312,
    libraries: /\/libnvshmem_host\.so\.3$/,
  },
];
