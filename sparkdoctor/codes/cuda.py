"""cudaError_t and CUresult: one scale of numbers.

Names: driver_types.h and cuda.h of CUDA 13.0 (nvcc 13.0.88); texts: cudaGetErrorString of libcudart.so.13 of the same
release. https://docs.nvidia.com/cuda/archive/13.0.0/cuda-runtime-api/group__CUDART__TYPES.html
"""

from __future__ import annotations

from sparkdoctor.codes import Code, by_name, table

SOURCE = "https://docs.nvidia.com/cuda/archive/13.0.0/cuda-runtime-api/group__CUDART__TYPES.html"

CUDA = table(
    """
1 cudaErrorInvalidValue CUDA_ERROR_INVALID_VALUE | invalid argument | a bug, or library versions that do not fit each other; the API call in the message says which argument
2 cudaErrorMemoryAllocation CUDA_ERROR_OUT_OF_MEMORY | out of memory | memory that CPU and GPU share on a GB10 is used up: see free -h and nvidia-smi, then lower --gpu-memory-utilization or the context length
3 cudaErrorInitializationError CUDA_ERROR_NOT_INITIALIZED | initialization error | the driver could not be used at all: compare nvidia-smi on the host with nvidia-smi in the container
4 cudaErrorCudartUnloading CUDA_ERROR_DEINITIALIZED | driver shutting down | the process was already ending: look for the first error before it
5 cudaErrorProfilerDisabled CUDA_ERROR_PROFILER_DISABLED | profiler disabled while using external profiling tool
6 cudaErrorProfilerNotInitialized CUDA_ERROR_PROFILER_NOT_INITIALIZED | profiler not initialized: call cudaProfilerInitialize()
7 cudaErrorProfilerAlreadyStarted CUDA_ERROR_PROFILER_ALREADY_STARTED | profiler already started
8 cudaErrorProfilerAlreadyStopped CUDA_ERROR_PROFILER_ALREADY_STOPPED | profiler already stopped
9 cudaErrorInvalidConfiguration | invalid configuration argument | a kernel asked for more threads or shared memory than this GPU has; often a kernel written for another architecture
12 cudaErrorInvalidPitchValue | invalid pitch argument
13 cudaErrorInvalidSymbol | invalid device symbol
16 cudaErrorInvalidHostPointer | invalid host pointer
17 cudaErrorInvalidDevicePointer | invalid device pointer
18 cudaErrorInvalidTexture | invalid texture reference
19 cudaErrorInvalidTextureBinding | texture is not bound to a pointer
20 cudaErrorInvalidChannelDescriptor | invalid channel descriptor
21 cudaErrorInvalidMemcpyDirection | invalid copy direction for memcpy
22 cudaErrorAddressOfConstant | invalid address of constant
23 cudaErrorTextureFetchFailed | fetch from texture failed
24 cudaErrorTextureNotBound | cannot fetch from a texture that is not bound
25 cudaErrorSynchronizationError | incorrect use of __syncthreads()
26 cudaErrorInvalidFilterSetting | linear filtering not supported for non-float type
27 cudaErrorInvalidNormSetting | read as normalized float not supported for data type
28 cudaErrorMixedDeviceExecution | device emulation mode and device execution mode cannot be mixed
31 cudaErrorNotYetImplemented | feature not yet implemented
32 cudaErrorMemoryValueTooLarge | memory size or pointer value too large to fit in 32 bit
34 cudaErrorStubLibrary CUDA_ERROR_STUB_LIBRARY | CUDA driver is a stub library | a stub libcuda.so from the toolkit is found before the driver's: look at LD_LIBRARY_PATH
35 cudaErrorInsufficientDriver | CUDA driver version is insufficient for CUDA runtime version | the driver of the host is older than the CUDA in the image: compare nvidia-smi with the image's CUDA version
36 cudaErrorCallRequiresNewerDriver CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER | API call is not supported in the installed CUDA driver | the driver is too old for this call: compare nvidia-smi with the image's CUDA version
37 cudaErrorInvalidSurface | invalid surface reference
43 cudaErrorDuplicateVariableName | duplicate global variable looked up by string name
44 cudaErrorDuplicateTextureName | duplicate texture looked up by string name
45 cudaErrorDuplicateSurfaceName | duplicate surface looked up by string name
46 cudaErrorDevicesUnavailable CUDA_ERROR_DEVICE_UNAVAILABLE | CUDA-capable device(s) is/are busy or unavailable | another process holds the GPU, or it is in exclusive mode: nvidia-smi -q -d COMPUTE
49 cudaErrorIncompatibleDriverContext | incompatible driver context
52 cudaErrorMissingConfiguration | __global__ function call is not configured
53 cudaErrorPriorLaunchFailure | unspecified launch failure in prior launch
65 cudaErrorLaunchMaxDepthExceeded | launch would exceed maximum depth of nested launches
66 cudaErrorLaunchFileScopedTex | launch failed because kernel uses unsupported, file-scoped textures (texture objects are supported)
67 cudaErrorLaunchFileScopedSurf | launch failed because kernel uses unsupported, file-scoped surfaces (surface objects are supported)
68 cudaErrorSyncDepthExceeded | cudaDeviceSynchronize failed because caller's grid depth exceeds cudaLimitDevRuntimeSyncDepth
69 cudaErrorLaunchPendingCountExceeded | launch failed because launch would exceed cudaLimitDevRuntimePendingLaunchCount
98 cudaErrorInvalidDeviceFunction | invalid device function | the binary has no code for this GPU's architecture (a GB10 is sm_121)
100 cudaErrorNoDevice CUDA_ERROR_NO_DEVICE | no CUDA-capable device is detected | no GPU reaches the process: look at --gpus, CUDA_VISIBLE_DEVICES and nvidia-smi in the container
101 cudaErrorInvalidDevice CUDA_ERROR_INVALID_DEVICE | invalid device ordinal | a device number that does not exist here: look at CUDA_VISIBLE_DEVICES and the local rank (a GB10 has one GPU, number 0)
102 cudaErrorDeviceNotLicensed CUDA_ERROR_DEVICE_NOT_LICENSED | device doesn't have valid Grid license
103 cudaErrorSoftwareValidityNotEstablished | integrity checks failed
127 cudaErrorStartupFailure | startup failure in cuda runtime
200 cudaErrorInvalidKernelImage CUDA_ERROR_INVALID_IMAGE | device kernel image is invalid | the compiled kernel is damaged or of an unknown format: clear the kernel caches
201 cudaErrorDeviceUninitialized CUDA_ERROR_INVALID_CONTEXT | invalid device context | the context is gone or was never made; often after a fork or an earlier error
202 CUDA_ERROR_CONTEXT_ALREADY_CURRENT | context already current
205 cudaErrorMapBufferObjectFailed CUDA_ERROR_MAP_FAILED | mapping of buffer object failed
206 cudaErrorUnmapBufferObjectFailed CUDA_ERROR_UNMAP_FAILED | unmapping of buffer object failed
207 cudaErrorArrayIsMapped CUDA_ERROR_ARRAY_IS_MAPPED | array is mapped
208 cudaErrorAlreadyMapped CUDA_ERROR_ALREADY_MAPPED | resource already mapped
209 cudaErrorNoKernelImageForDevice CUDA_ERROR_NO_BINARY_FOR_GPU | no kernel image is available for execution on the device | the binary has no code for this GPU's architecture (a GB10 is sm_121); a build for sm_120 or sm_121 is needed
210 cudaErrorAlreadyAcquired CUDA_ERROR_ALREADY_ACQUIRED | resource already acquired
211 cudaErrorNotMapped CUDA_ERROR_NOT_MAPPED | resource not mapped
212 cudaErrorNotMappedAsArray CUDA_ERROR_NOT_MAPPED_AS_ARRAY | resource not mapped as array
213 cudaErrorNotMappedAsPointer CUDA_ERROR_NOT_MAPPED_AS_POINTER | resource not mapped as pointer
214 cudaErrorECCUncorrectable CUDA_ERROR_ECC_UNCORRECTABLE | uncorrectable ECC error encountered | memory of the GPU is faulty: look for Xid lines in the kernel log
215 cudaErrorUnsupportedLimit CUDA_ERROR_UNSUPPORTED_LIMIT | limit is not supported on this architecture
216 cudaErrorDeviceAlreadyInUse CUDA_ERROR_CONTEXT_ALREADY_IN_USE | exclusive-thread device already in use by a different thread | another process has the GPU for itself: nvidia-smi -q -d COMPUTE
217 cudaErrorPeerAccessUnsupported CUDA_ERROR_PEER_ACCESS_UNSUPPORTED | peer access is not supported between these two devices | these two GPUs cannot reach each other's memory directly
218 cudaErrorInvalidPtx CUDA_ERROR_INVALID_PTX | a PTX JIT compilation failed | the PTX could not be compiled for this GPU; often a toolkit that does not know its architecture
219 cudaErrorInvalidGraphicsContext CUDA_ERROR_INVALID_GRAPHICS_CONTEXT | invalid OpenGL or DirectX context
220 cudaErrorNvlinkUncorrectable CUDA_ERROR_NVLINK_UNCORRECTABLE | uncorrectable NVLink error detected during the execution
221 cudaErrorJitCompilerNotFound CUDA_ERROR_JIT_COMPILER_NOT_FOUND | PTX JIT compiler library not found | libnvidia-ptxjitcompiler of the driver is not in the container
222 cudaErrorUnsupportedPtxVersion CUDA_ERROR_UNSUPPORTED_PTX_VERSION | the provided PTX was compiled with an unsupported toolchain | the PTX is of a newer CUDA than the driver: compare nvidia-smi with the toolkit that compiled it
223 cudaErrorJitCompilationDisabled CUDA_ERROR_JIT_COMPILATION_DISABLED | PTX JIT compilation was disabled
224 cudaErrorUnsupportedExecAffinity CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY | the provided execution affinity is not supported
225 cudaErrorUnsupportedDevSideSync CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC | the provided PTX contains unsupported call to cudaDeviceSynchronize
226 cudaErrorContained CUDA_ERROR_CONTAINED | Invalid access of peer GPU memory over nvlink or a hardware error
300 cudaErrorInvalidSource CUDA_ERROR_INVALID_SOURCE | device kernel image is invalid
301 cudaErrorFileNotFound CUDA_ERROR_FILE_NOT_FOUND | file not found | a module or library was not found by its name
302 cudaErrorSharedObjectSymbolNotFound CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND | shared object symbol not found
303 cudaErrorSharedObjectInitFailed CUDA_ERROR_SHARED_OBJECT_INIT_FAILED | shared object initialization failed
304 cudaErrorOperatingSystem CUDA_ERROR_OPERATING_SYSTEM | OS call failed or operation not supported on this OS | look for what the system refused: limits, permissions, /dev/nvidia*
400 cudaErrorInvalidResourceHandle CUDA_ERROR_INVALID_HANDLE | invalid resource handle | a handle of another context, or one already destroyed; a bug, or a GPU reset below the process
401 cudaErrorIllegalState CUDA_ERROR_ILLEGAL_STATE | the operation cannot be performed in the present state
402 cudaErrorLossyQuery CUDA_ERROR_LOSSY_QUERY | attempted introspection would be semantically lossy
500 cudaErrorSymbolNotFound CUDA_ERROR_NOT_FOUND | named symbol not found | a library and the code that calls it do not fit each other
600 cudaErrorNotReady CUDA_ERROR_NOT_READY | device not ready
700 cudaErrorIllegalAddress CUDA_ERROR_ILLEGAL_ADDRESS | an illegal memory access was encountered | a kernel read or wrote outside its memory: a bug in the kernel or wrong sizes given to it; look for Xid 31 in the kernel log
701 cudaErrorLaunchOutOfResources CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES | too many resources requested for launch | a kernel asked for more registers or shared memory than this GPU has; often a kernel tuned for another architecture
702 cudaErrorLaunchTimeout CUDA_ERROR_LAUNCH_TIMEOUT | the launch timed out and was terminated | a kernel ran longer than allowed: a hang, or a GPU that also drives a display
703 cudaErrorLaunchIncompatibleTexturing CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING | launch uses incompatible texturing mode
704 cudaErrorPeerAccessAlreadyEnabled CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED | peer access is already enabled
705 cudaErrorPeerAccessNotEnabled CUDA_ERROR_PEER_ACCESS_NOT_ENABLED | peer access has not been enabled
708 cudaErrorSetOnActiveProcess CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE | cannot set while device is active in this process
709 cudaErrorContextIsDestroyed CUDA_ERROR_CONTEXT_IS_DESTROYED | context is destroyed | an earlier error destroyed the context: look for the first error
710 cudaErrorAssert CUDA_ERROR_ASSERT | device-side assert triggered | an assertion in a kernel failed, most often an index out of range; the line before tells file and condition
711 cudaErrorTooManyPeers CUDA_ERROR_TOO_MANY_PEERS | peer mapping resources exhausted
712 cudaErrorHostMemoryAlreadyRegistered CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED | part or all of the requested memory range is already mapped
713 cudaErrorHostMemoryNotRegistered CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED | pointer does not correspond to a registered memory region
714 cudaErrorHardwareStackError CUDA_ERROR_HARDWARE_STACK_ERROR | hardware stack error
715 cudaErrorIllegalInstruction CUDA_ERROR_ILLEGAL_INSTRUCTION | an illegal instruction was encountered | code for another architecture, or a damaged kernel: look for Xid 13 in the kernel log
716 cudaErrorMisalignedAddress CUDA_ERROR_MISALIGNED_ADDRESS | misaligned address | a kernel used a misaligned address: a bug in the kernel, or sizes that it does not allow
717 cudaErrorInvalidAddressSpace CUDA_ERROR_INVALID_ADDRESS_SPACE | operation not supported on global/shared address space | a bug in the kernel
718 cudaErrorInvalidPc CUDA_ERROR_INVALID_PC | invalid program counter | a bug in the kernel, or damaged memory
719 cudaErrorLaunchFailure CUDA_ERROR_LAUNCH_FAILED | unspecified launch failure | a kernel died for a reason that CUDA does not name: look for Xid lines in the kernel log
720 cudaErrorCooperativeLaunchTooLarge CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE | too many blocks in cooperative launch | the grid does not fit on this GPU at once; a kernel tuned for a larger GPU
721 cudaErrorTensorMemoryLeak CUDA_ERROR_TENSOR_MEMORY_LEAK | tensor memory not completely freed
800 cudaErrorNotPermitted CUDA_ERROR_NOT_PERMITTED | operation not permitted | the process may not do this: look at the container's privileges, and at who else uses the GPU
801 cudaErrorNotSupported CUDA_ERROR_NOT_SUPPORTED | operation not supported | this GPU or driver does not offer what was asked for
802 cudaErrorSystemNotReady CUDA_ERROR_SYSTEM_NOT_READY | system not yet initialized | the driver is not ready yet: look at the kernel log and at nvidia-persistenced
803 cudaErrorSystemDriverMismatch CUDA_ERROR_SYSTEM_DRIVER_MISMATCH | system has unsupported display driver / cuda driver combination | the user-space libcuda and the kernel driver differ: reboot after a driver update, and look for a CUDA compat folder in the image
804 cudaErrorCompatNotSupportedOnDevice CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE | forward compatibility was attempted on non supported HW | the image's CUDA compat libraries are used on a GPU that does not allow it: remove the compat folder from LD_LIBRARY_PATH
805 cudaErrorMpsConnectionFailed CUDA_ERROR_MPS_CONNECTION_FAILED | MPS client failed to connect to the MPS control daemon or the MPS server
806 cudaErrorMpsRpcFailure CUDA_ERROR_MPS_RPC_FAILURE | the remote procedural call between the MPS server and the MPS client failed
807 cudaErrorMpsServerNotReady CUDA_ERROR_MPS_SERVER_NOT_READY | MPS server is not ready to accept new MPS client requests
808 cudaErrorMpsMaxClientsReached CUDA_ERROR_MPS_MAX_CLIENTS_REACHED | the hardware resources required to create MPS client have been exhausted
809 cudaErrorMpsMaxConnectionsReached CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED | the hardware resources required to support device connections have been exhausted
810 cudaErrorMpsClientTerminated CUDA_ERROR_MPS_CLIENT_TERMINATED | the MPS client has been terminated by the server
811 cudaErrorCdpNotSupported CUDA_ERROR_CDP_NOT_SUPPORTED | is using CUDA Dynamic Parallelism, but the current configuration, like MPS, does not support it
812 cudaErrorCdpVersionMismatch CUDA_ERROR_CDP_VERSION_MISMATCH | unsupported interaction between different versions of CUDA Dynamic Parallelism
900 cudaErrorStreamCaptureUnsupported CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED | operation not permitted when stream is capturing | something was done during CUDA graph capture that is not allowed there; --enforce-eager tells whether graphs are to blame
901 cudaErrorStreamCaptureInvalidated CUDA_ERROR_STREAM_CAPTURE_INVALIDATED | operation failed due to a previous error during capture | the first error during CUDA graph capture is the one to look for
902 cudaErrorStreamCaptureMerge CUDA_ERROR_STREAM_CAPTURE_MERGE | operation would result in a merge of separate capture sequences
903 cudaErrorStreamCaptureUnmatched CUDA_ERROR_STREAM_CAPTURE_UNMATCHED | capture was not ended in the same stream as it began
904 cudaErrorStreamCaptureUnjoined CUDA_ERROR_STREAM_CAPTURE_UNJOINED | capturing stream has unjoined work
905 cudaErrorStreamCaptureIsolation CUDA_ERROR_STREAM_CAPTURE_ISOLATION | dependency created on uncaptured work in another stream
906 cudaErrorStreamCaptureImplicit CUDA_ERROR_STREAM_CAPTURE_IMPLICIT | operation would make the legacy stream depend on a capturing blocking stream
907 cudaErrorCapturedEvent CUDA_ERROR_CAPTURED_EVENT | operation not permitted on an event last recorded in a capturing stream
908 cudaErrorStreamCaptureWrongThread CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD | attempt to terminate a thread-local capture sequence from another thread
909 cudaErrorTimeout CUDA_ERROR_TIMEOUT | wait operation timed out
910 cudaErrorGraphExecUpdateFailure CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE | the graph update was not performed because it included changes which violated constraints specific to instantiated graph update
911 cudaErrorExternalDevice CUDA_ERROR_EXTERNAL_DEVICE | an async error has occured in external entity outside of CUDA
912 cudaErrorInvalidClusterSize CUDA_ERROR_INVALID_CLUSTER_SIZE | a kernel launch error has occurred due to cluster misconfiguration
913 cudaErrorFunctionNotLoaded CUDA_ERROR_FUNCTION_NOT_LOADED | the function handle is not loaded when calling an API that requires a loaded function
914 cudaErrorInvalidResourceType CUDA_ERROR_INVALID_RESOURCE_TYPE | one or more resources passed in are not valid resource types for the operation
915 cudaErrorInvalidResourceConfiguration CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION | one or more resources are insufficient or non-applicable for the operation
916 CUDA_ERROR_KEY_ROTATION | key rotation
999 cudaErrorUnknown CUDA_ERROR_UNKNOWN | unknown error | look for Xid lines in the kernel log; a reboot or reload of the driver may be needed
"""
)
_NAMED = by_name(CUDA.values())
_SAID = {code.meaning: code for code in reversed(CUDA.values())}


def named(name: str) -> Code | None:
    """Of `cudaErrorIllegalAddress` or `CUDA_ERROR_ILLEGAL_ADDRESS`."""
    return _NAMED.get(name)


def said(text: str) -> Code | None:
    """Of a message that begins with what cudaGetErrorString gives, as PyTorch prints it after `CUDA error:`."""
    fitting = [said for said in _SAID if text.startswith(said)]
    return _SAID[max(fitting, key=len)] if fitting else None
