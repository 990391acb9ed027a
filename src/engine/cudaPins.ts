// The CUDA build of TensorFlow and the NVIDIA libraries that it declares (its extra `and-cuda`): which wheels, and what of them is kept. The
// versions are the newest of CUDA 12 on PyPI in November 2026, but for cuDNN: 9.10 is the last that runs on GPUs before Turing. Kept are the
// libraries that TensorFlow and they themselves open by name, ptxas and libdevice; left out are static libraries, headers, profilers and what
// only other programs use (nvblas, cufftw, cusolverMg, the alternative nvrtc). Paths are as in site-packages: the RUNPATH needs them so.
import type { PackagePins } from './pins.js';

export const CUDA_PACKAGES: readonly [PackagePins, ...PackagePins[]] = [
  {
    wheel: {
      project: 'tensorflow',
      version: '2.21.0',
      file: 'tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
      bytes: 572_611_111,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'tensorflow/libtensorflow_framework.so.2', bytes: 162_648_808 },
      { path: 'tensorflow/libtensorflow_cc.so.2', bytes: 1_096_372_272 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cublas-cu12',
      version: '12.9.3.13',
      file: 'nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl',
      sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
      bytes: 581_217_458,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'nvidia/cublas/lib/libcublas.so.12', bytes: 105_140_976 },
      { path: 'nvidia/cublas/lib/libcublasLt.so.12', bytes: 749_169_616 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cuda-cupti-cu12',
      version: '12.9.79',
      file: 'nvidia_cuda_cupti_cu12-12.9.79-py3-none-manylinux_2_25_x86_64.whl',
      sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
      bytes: 10_814_997,
      platforms: ['manylinux_2_25_x86_64'],
    },
    files: [
      { path: 'nvidia/cuda_cupti/lib/libcupti.so.12', bytes: 7_604_800 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cuda-nvcc-cu12',
      version: '12.9.86',
      file: 'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
      bytes: 40_546_229,
      platforms: ['manylinux2010_x86_64', 'manylinux_2_12_x86_64'],
    },
    files: [
      { path: 'nvidia/cuda_nvcc/bin/ptxas', bytes: 34_931_056, executable: true },
      { path: 'nvidia/cuda_nvcc/nvvm/lib64/libnvvm.so', bytes: 62_581_536 },
      { path: 'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc', bytes: 486_168 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cuda-nvrtc-cu12',
      version: '12.9.86',
      file: 'nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
      bytes: 89_568_129,
      platforms: ['manylinux2010_x86_64', 'manylinux_2_12_x86_64'],
    },
    files: [
      { path: 'nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.9', bytes: 7_202_760 },
      { path: 'nvidia/cuda_nvrtc/lib/libnvrtc.so.12', bytes: 106_244_480 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cuda-runtime-cu12',
      version: '12.9.79',
      file: 'nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
      bytes: 3_493_179,
      platforms: ['manylinux2014_x86_64', 'manylinux_2_17_x86_64'],
    },
    files: [
      { path: 'nvidia/cuda_runtime/lib/libcudart.so.12', bytes: 741_088 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cudnn-cu12',
      version: '9.10.2.21',
      file: 'nvidia_cudnn_cu12-9.10.2.21-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '949452be657fa16687d0930933f032835951ef0892b37d2d53824d1a84dc97a8',
      bytes: 706_758_467,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'nvidia/cudnn/lib/libcudnn.so.9', bytes: 125_136 },
      { path: 'nvidia/cudnn/lib/libcudnn_adv.so.9', bytes: 285_226_600 },
      { path: 'nvidia/cudnn/lib/libcudnn_cnn.so.9', bytes: 6_301_096 },
      { path: 'nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9', bytes: 547_383_096 },
      { path: 'nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9', bytes: 23_094_328 },
      { path: 'nvidia/cudnn/lib/libcudnn_graph.so.9', bytes: 4_439_912 },
      { path: 'nvidia/cudnn/lib/libcudnn_heuristic.so.9', bytes: 58_726_712 },
      { path: 'nvidia/cudnn/lib/libcudnn_ops.so.9', bytes: 127_936_080 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cufft-cu12',
      version: '11.4.1.4',
      file: 'nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
      bytes: 200_877_592,
      platforms: ['manylinux2014_x86_64', 'manylinux_2_17_x86_64'],
    },
    files: [
      { path: 'nvidia/cufft/lib/libcufft.so.11', bytes: 291_507_928 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-curand-cu12',
      version: '10.3.10.19',
      file: 'nvidia_curand_cu12-10.3.10.19-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
      bytes: 68_295_626,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'nvidia/curand/lib/libcurand.so.10', bytes: 166_965_432 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cusolver-cu12',
      version: '11.7.5.82',
      file: 'nvidia_cusolver_cu12-11.7.5.82-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
      bytes: 338_117_415,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'nvidia/cusolver/lib/libcusolver.so.11', bytes: 302_024_152 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-cusparse-cu12',
      version: '12.5.10.65',
      file: 'nvidia_cusparse_cu12-12.5.10.65-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
      bytes: 366_465_088,
      platforms: ['manylinux2014_x86_64', 'manylinux_2_17_x86_64'],
    },
    files: [
      { path: 'nvidia/cusparse/lib/libcusparse.so.12', bytes: 486_556_368 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-nccl-cu12',
      version: '2.32.3',
      file: 'nvidia_nccl_cu12-2.32.3-py3-none-manylinux_2_27_x86_64.whl',
      sha256: 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
      bytes: 351_526_311,
      platforms: ['manylinux_2_27_x86_64'],
    },
    files: [
      { path: 'nvidia/nccl/lib/libnccl.so.2', bytes: 473_614_536 },
    ],
  },
  {
    wheel: {
      project: 'nvidia-nvjitlink-cu12',
      version: '12.9.86',
      file: 'nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
      bytes: 39_748_338,
      platforms: ['manylinux2010_x86_64', 'manylinux_2_12_x86_64'],
    },
    files: [
      { path: 'nvidia/nvjitlink/lib/libnvJitLink.so.12', bytes: 95_935_344 },
    ],
  },
];
