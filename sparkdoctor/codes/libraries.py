"""cublasStatus_t and cudnnStatus_t, by name: https://docs.nvidia.com/cuda/cublas/#cublasstatus-t (13.0) and
https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnstatus-t (9)."""

from __future__ import annotations

from sparkdoctor.codes import Code, by_name, table

CUBLAS = table(
    """
1 CUBLAS_STATUS_NOT_INITIALIZED | cuBLAS could not be initialised | often too little free GPU memory for its handle, or an earlier CUDA error of the process
3 CUBLAS_STATUS_ALLOC_FAILED | cuBLAS could not get memory | free GPU memory: lower --gpu-memory-utilization or stop other programs
7 CUBLAS_STATUS_INVALID_VALUE | an argument is wrong: a size, a stride, an alignment | often a shape or dtype that this cuBLAS version does not take
8 CUBLAS_STATUS_ARCH_MISMATCH | this cuBLAS has no code for what the GPU was asked for | compare the cuBLAS version with the GPU (a GB10 is sm_121)
11 CUBLAS_STATUS_MAPPING_ERROR | memory of the GPU could not be reached
13 CUBLAS_STATUS_EXECUTION_FAILED | a kernel of cuBLAS failed | an earlier kernel may be to blame: run with CUDA_LAUNCH_BLOCKING=1 and look for Xid lines
14 CUBLAS_STATUS_INTERNAL_ERROR | cuBLAS failed inside | often memory or an earlier CUDA error: run with CUDA_LAUNCH_BLOCKING=1
15 CUBLAS_STATUS_NOT_SUPPORTED | cuBLAS does not offer this combination of types and sizes on this GPU | another dtype or quantization, or a newer cuBLAS
16 CUBLAS_STATUS_LICENSE_ERROR | a licence is missing
"""
)
CUDNN = table(
    """
1001 CUDNN_STATUS_NOT_INITIALIZED | cuDNN could not be initialised | often too little free GPU memory, or libraries of different versions
1002 CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH CUDNN_STATUS_VERSION_MISMATCH | parts of cuDNN are of different versions | two copies of cuDNN are found: look at LD_LIBRARY_PATH and pip list for nvidia-cudnn
1003 CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH | a stored plan is of another version
1004 CUDNN_STATUS_DEPRECATED | a function that does not exist any more
1005 CUDNN_STATUS_LICENSE_ERROR | a licence is missing
1006 CUDNN_STATUS_RUNTIME_IN_PROGRESS | work is still going on
1007 CUDNN_STATUS_RUNTIME_FP_OVERFLOW | a number overflowed
1008 CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED | a part of cuDNN could not be loaded | look at LD_LIBRARY_PATH and pip list for nvidia-cudnn
2000 CUDNN_STATUS_BAD_PARAM | an argument is wrong
3000 CUDNN_STATUS_NOT_SUPPORTED | cuDNN does not offer this on this GPU | a newer cuDNN, or another dtype
4000 CUDNN_STATUS_INTERNAL_ERROR | cuDNN failed inside | often too little free GPU memory
5000 CUDNN_STATUS_EXECUTION_FAILED | a kernel of cuDNN failed | an earlier kernel may be to blame: run with CUDA_LAUNCH_BLOCKING=1
"""
)
_NAMED = by_name((*CUBLAS.values(), *CUDNN.values()))


def named(name: str) -> Code | None:
    """A name of cuDNN that says more, such as CUDNN_STATUS_BAD_PARAM_NULL_POINTER, is taken for its class."""
    code = _NAMED.get(name)
    if code is None and name.startswith("CUDNN_"):
        code = next((one for known, one in _NAMED.items() if name.startswith(f"{known}_")), None)
    return code
