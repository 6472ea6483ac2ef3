/* A CUDA driver without a GPU, for rehearsals: memory is the host's, copies copy, a launch only writes down its parameters.

   It answers enough of the driver's API for cuda.core, cuda.bindings and numba.cuda to believe in one device, so that
   everything of the GPU path but the kernels' results can be run, and Python's share of a launch be timed, on any machine:

       gcc -shared -fPIC -O1 -o DIR/libcuda.so.1 libcuda.c   and   LD_LIBRARY_PATH=DIR python ...

   What it doesn't know answers CUDA_SUCCESS. Environment: FAKE_CUDA_MEMORY, bytes of memory (default 1 GiB); FAKE_CUDA_CC, compute
   capability (default 90); FAKE_CUDA_DEVICES, devices (default 1); FAKE_CUDA_FAULT, the launch after which an illegal address shows. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int result;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };

static long long setting(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}

/* ---- what tests read through ctypes */
uint64_t fake_parameters[64];       /* of the last launch; 4-byte ones have garbage above */
int fake_parameter_count = 0;       /* set before a launch: how many it has (the driver isn't told) */
unsigned fake_shape[7];             /* grid, block, bytes of shared memory */
long long fake_launches = 0, fake_allocations = 0, fake_in_use = 0, fake_synchronizations = 0;

/* ---- devices and contexts */
static __thread void *context = NULL;     /* each thread has its own */
static char primary[64];

result cuInit(unsigned flags) { return setting("FAKE_CUDA_DEVICES", 1) ? SUCCESS : NO_DEVICE; }
result cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
result cuDeviceGetCount(int *count) { *count = (int)setting("FAKE_CUDA_DEVICES", 1); return SUCCESS; }
result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
result cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "a GPU that isn't there"); return SUCCESS; }
result cuDeviceGetUuid(char *uuid, int device) { memset(uuid, 7, 16); return SUCCESS; }
result cuDeviceTotalMem(size_t *bytes, int device) { *bytes = setting("FAKE_CUDA_MEMORY", 1LL << 30); return SUCCESS; }
result cuDeviceGetAttribute(int *value, int attribute, int device) {
    int cc = (int)setting("FAKE_CUDA_CC", 90);
    switch (attribute) {
        case 1: *value = 1024; break;               /* threads of a block */
        case 8: *value = 48 * 1024; break;          /* shared memory of a block */
        case 10: *value = 32; break;                /* lanes of a warp */
        case 13: *value = 1000000; break;           /* kHz */
        case 16: *value = 132; break;               /* multiprocessors */
        case 75: *value = cc / 10; break;
        case 76: *value = cc % 10; break;
        default: *value = 1;
    }
    return SUCCESS;
}
result cuDevicePrimaryCtxRetain(void **made, int device) { *made = primary; return SUCCESS; }
result cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return SUCCESS; }
result cuCtxGetCurrent(void **current) { *current = context; return SUCCESS; }
result cuCtxSetCurrent(void *wanted) { context = wanted; return SUCCESS; }
result cuCtxPushCurrent(void *wanted) { context = wanted; return SUCCESS; }
result cuCtxPopCurrent(void **popped) { *popped = context; return SUCCESS; }
result cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }
result cuCtxGetApiVersion(void *of, unsigned *version) { *version = 13000; return SUCCESS; }
result cuStreamGetCtx(void *stream, void **of) { *of = context; return SUCCESS; }
result cuStreamGetDevice(void *stream, int *device) { *device = 0; return SUCCESS; }

/* ---- memory: 16 bytes before each block hold its size */
result cuMemAlloc(uint64_t *address, size_t bytes) {
    if (!context) return INVALID_CONTEXT;
    if (!bytes) return INVALID_VALUE;
    if (fake_in_use + (long long)bytes > setting("FAKE_CUDA_MEMORY", 1LL << 30)) return OUT_OF_MEMORY;
    char *block = aligned_alloc(256, (bytes + 511) / 256 * 256);
    *(size_t *)block = bytes;
    *address = (uint64_t)(block + 256);
    fake_in_use += bytes;
    fake_allocations++;
    return SUCCESS;
}
result cuMemFree(uint64_t address) {
    char *block = (char *)address - 256;
    fake_in_use -= *(size_t *)block;
    free(block);
    return SUCCESS;
}
result cuMemGetInfo(size_t *unused, size_t *total) {
    *total = setting("FAKE_CUDA_MEMORY", 1LL << 30);
    *unused = *total - fake_in_use;
    return SUCCESS;
}
result cuMemcpyHtoD(uint64_t to, const void *from, size_t bytes) { memcpy((void *)to, from, bytes); return SUCCESS; }
result cuMemcpyDtoH(void *to, uint64_t from, size_t bytes) { memcpy(to, (void *)from, bytes); return SUCCESS; }
result cuMemcpyDtoD(uint64_t to, uint64_t from, size_t bytes) { memmove((void *)to, (void *)from, bytes); return SUCCESS; }
result cuMemcpyHtoDAsync(uint64_t to, const void *from, size_t bytes, void *stream) { return cuMemcpyHtoD(to, from, bytes); }
result cuMemcpyDtoHAsync(void *to, uint64_t from, size_t bytes, void *stream) { return cuMemcpyDtoH(to, from, bytes); }
result cuPointerGetAttribute(void *data, int attribute, uint64_t address) {
    if (attribute == 1) *(void **)data = primary;   /* context */
    else *(uint64_t *)data = attribute == 2 ? 2 : attribute == 3 ? address : 0;
    return SUCCESS;
}
result cuPointerGetAttributes(unsigned count, int *attributes, void **data, uint64_t address) {
    for (unsigned i = 0; i < count; i++)
        if (attributes[i] == 2) *(unsigned *)data[i] = 2;       /* memory type: the device's */
        else if (attributes[i] == 1 || attributes[i] == 3 || attributes[i] == 4) *(uint64_t *)data[i] = address;
        else *(int *)data[i] = 0;
    return SUCCESS;
}

/* ---- programs: handles are anything but NULL */
static result handle(void **made) { *made = malloc(16); return SUCCESS; }
result cuModuleLoadData(void **made, const void *image) { return handle(made); }
result cuModuleLoadDataEx(void **made, const void *image, unsigned n, void *options, void **values) { return handle(made); }
result cuModuleGetFunction(void **made, void *module, const char *name) { return handle(made); }
result cuLibraryLoadData(void **made, const void *code, void *a, void *b, unsigned c, void *d, void *e, unsigned f) { return handle(made); }
result cuLibraryGetKernel(void **made, void *library, const char *name) { return handle(made); }
result cuLibraryGetModule(void **made, void *library) { return handle(made); }
result cuKernelGetFunction(void **made, void *kernel) { *made = kernel; return SUCCESS; }
result cuFuncGetAttribute(int *value, int attribute, void *function) { *value = 0; return SUCCESS; }
result cuKernelGetAttribute(int *value, int attribute, void *kernel, int device) { *value = 0; return SUCCESS; }
result cuFuncGetParamInfo(void *function, size_t index, size_t *offset, size_t *size) { return INVALID_VALUE; }
result cuKernelGetParamInfo(void *kernel, size_t index, size_t *offset, size_t *size) { return INVALID_VALUE; }

result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                      void *stream, void **parameters, void **extra) {
    if (!context) return INVALID_CONTEXT;
    if (bx * by * bz > 1024 || bz > 64 || gy > 65535 || gz > 65535 || shared > 48 << 10) return INVALID_VALUE;
    if (!gx || !gy || !gz || !bx || !by || !bz) return INVALID_VALUE;
    unsigned shape[7] = {gx, gy, gz, bx, by, bz, shared};
    memcpy(fake_shape, shape, sizeof shape);
    for (int i = 0; i < fake_parameter_count && i < 64; i++) memcpy(&fake_parameters[i], parameters[i], 8);
    fake_parameter_count = 0;
    fake_launches++;
    return SUCCESS;
}
struct configuration { unsigned grid[3], block[3], shared; void *stream; void *attributes; unsigned count; };
result cuLaunchKernelEx(const struct configuration *c, void *function, void **parameters, void **extra) {
    return cuLaunchKernel(function, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream,
                          parameters, extra);
}

/* ---- waiting: where errors of kernels show */
static result wait_for_all(void) {
    long long faulty = setting("FAKE_CUDA_FAULT", -1);
    fake_synchronizations++;
    return faulty >= 0 && fake_launches > faulty ? ILLEGAL_ADDRESS : SUCCESS;
}
result cuStreamSynchronize(void *stream) { return wait_for_all(); }
result cuCtxSynchronize(void) { return wait_for_all(); }
result cuEventSynchronize(void *event) { return wait_for_all(); }
result cuEventCreate(void **made, unsigned flags) { return handle(made); }
result cuEventElapsedTime(float *milliseconds, void *start, void *end) { *milliseconds = 1; return SUCCESS; }
result cuStreamCreate(void **made, unsigned flags) { return handle(made); }
result cuStreamCreateWithPriority(void **made, unsigned flags, int priority) { return handle(made); }

result cuGetErrorName(int error, const char **name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : error == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" :
            error == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT" : error == INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE" :
            error ? "CUDA_ERROR_UNKNOWN" : "CUDA_SUCCESS";
    return SUCCESS;
}
result cuGetErrorString(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" :
            error ? "unknown error" : "no error";
    return SUCCESS;
}

/* ---- how the bindings find all of this: by name, through the driver itself */
static result anything(void) { return SUCCESS; }
#define KNOWN(name) {#name, (void *)name}
static const struct { const char *name; void *function; } known[] = {
    KNOWN(cuInit), KNOWN(cuDriverGetVersion), KNOWN(cuDeviceGetCount), KNOWN(cuDeviceGet), KNOWN(cuDeviceGetName),
    KNOWN(cuDeviceGetUuid), KNOWN(cuDeviceTotalMem), KNOWN(cuDeviceGetAttribute), KNOWN(cuDevicePrimaryCtxRetain),
    KNOWN(cuDevicePrimaryCtxGetState), KNOWN(cuCtxGetCurrent), KNOWN(cuCtxSetCurrent), KNOWN(cuCtxPushCurrent), KNOWN(cuCtxPopCurrent),
    KNOWN(cuCtxGetDevice), KNOWN(cuCtxGetApiVersion), KNOWN(cuStreamGetCtx), KNOWN(cuStreamGetDevice), KNOWN(cuMemAlloc), KNOWN(cuMemFree),
    KNOWN(cuMemGetInfo), KNOWN(cuMemcpyHtoD), KNOWN(cuMemcpyDtoH), KNOWN(cuMemcpyDtoD), KNOWN(cuMemcpyHtoDAsync),
    KNOWN(cuMemcpyDtoHAsync), KNOWN(cuPointerGetAttribute), KNOWN(cuPointerGetAttributes), KNOWN(cuModuleLoadData),
    KNOWN(cuModuleLoadDataEx), KNOWN(cuModuleGetFunction), KNOWN(cuLibraryLoadData), KNOWN(cuLibraryGetKernel), KNOWN(cuLibraryGetModule),
    KNOWN(cuKernelGetFunction), KNOWN(cuFuncGetAttribute), KNOWN(cuKernelGetAttribute),
    KNOWN(cuFuncGetParamInfo), KNOWN(cuKernelGetParamInfo), KNOWN(cuLaunchKernel),
    KNOWN(cuLaunchKernelEx), KNOWN(cuStreamSynchronize), KNOWN(cuCtxSynchronize), KNOWN(cuEventSynchronize), KNOWN(cuEventCreate),
    KNOWN(cuEventElapsedTime), KNOWN(cuStreamCreate), KNOWN(cuStreamCreateWithPriority), KNOWN(cuGetErrorName), KNOWN(cuGetErrorString)};

result cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status);
result cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
    *function = (void *)anything;
    if (!strcmp(symbol, "cuGetProcAddress")) *function = (void *)cuGetProcAddress_v2;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(symbol, known[i].name)) *function = known[i].function;
    return SUCCESS;
}
result cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    if (status) *status = 0;
    return cuGetProcAddress(symbol, function, version, flags);
}
