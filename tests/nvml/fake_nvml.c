/* A stand-in for libnvidia-ml.so.1: GPUs as the control file says that FAKE_NVML names.
 *
 * The file is read again at every call, so that a test steers it live. Power is a waveform in time (CLOCK_MONOTONIC) and the
 * energy counter its integral: what a caller sees does not depend on how often it asks. Lines (fields by blanks):
 *   driver VERSION | fail CODE                                (of every call, from nvmlInitWithFlags on)
 *   now MS                                                    (in place of CLOCK_MONOTONIC)
 *   delay MS                                                  (each answer about a GPU takes so long)
 *   gpu UUID NAME LIMIT_MW COUNTER LOST T0_MS BASE_MJ WAVE LOW_MW HIGH_MW PERIOD_MS QUANTUM_MS POWER
 *       COUNTER 1: counts; 0: has none; 2: stands still at BASE_MJ; below 0: answers with that error
 *   mig UUID PARENT_INDEX SLICES                              (compute slices; the parent has 7 places)
 *   process GPU_INDEX PID                                      (1000 + its index for a MIG device)
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15, UNKNOWN = 999 };
#define MOST 32
#define MIG_NUMBER 1000

typedef struct {
    char uuid[96], name[96], wave[16];
    unsigned limit_mw, low_mw, high_mw, power;
    int counter, lost;
    long long t0_ms, base_mj, period_ms, quantum_ms;
} Gpu;
typedef struct { char uuid[96]; int parent; unsigned slices; } Mig;
typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } Process; /* nvmlProcessInfo_v3 */
typedef struct { unsigned sms, copy, decode, encode, jpeg, ofa, gi_slices, ci_slices; unsigned long long memory_mb; } Attributes;

static struct {
    char driver[64];
    int fail, gpus, migs, processes;
    long long now_ms, delay_ms;
    Gpu gpu[MOST];
    Mig mig[MOST];
    struct { int gpu; unsigned pid; } process[MOST];
} state;
static int started;
static char gpu_handle[MOST], mig_handle[MOST]; /* their addresses are the handles */

static int load(void) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    memset(&state, 0, sizeof state);
    strcpy(state.driver, "550.54.15");
    if (!file) return UNKNOWN;
    while (fgets(line, sizeof line, file)) {
        Gpu g = {0};
        Mig m = {0};
        int index;
        unsigned pid;
        if (sscanf(line, "driver %63s", state.driver) == 1) continue;
        if (sscanf(line, "fail %d", &state.fail) == 1) continue;
        if (sscanf(line, "now %lld", &state.now_ms) == 1) continue;
        if (sscanf(line, "delay %lld", &state.delay_ms) == 1) continue;
        if (sscanf(line, "gpu %95s %95s %u %d %d %lld %lld %15s %u %u %lld %lld %u", g.uuid, g.name, &g.limit_mw, &g.counter, &g.lost,
                   &g.t0_ms, &g.base_mj, g.wave, &g.low_mw, &g.high_mw, &g.period_ms, &g.quantum_ms, &g.power) == 13) {
            for (char *c = g.name; *c; c++) if (*c == '_') *c = ' ';
            if (state.gpus < MOST) state.gpu[state.gpus++] = g;
        } else if (sscanf(line, "mig %95s %d %u", m.uuid, &m.parent, &m.slices) == 3) {
            if (state.migs < MOST) state.mig[state.migs++] = m;
        } else if (sscanf(line, "process %d %u", &index, &pid) == 2 && state.processes < MOST) {
            state.process[state.processes].gpu = index;
            state.process[state.processes++].pid = pid;
        }
    }
    fclose(file);
    return OK;
}

static int ready(void) {
    int code;
    if (!started) return UNINITIALIZED;
    code = load();
    return code ? code : state.fail;
}

static long long now_ms(void) {
    struct timespec t;
    if (state.now_ms) return state.now_ms;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static unsigned power_mw(const Gpu *g, long long ms) {
    long long phase;
    if (strcmp(g->wave, "square")) return g->high_mw;
    phase = ((ms - g->t0_ms) % g->period_ms + g->period_ms) % g->period_ms;
    return phase < g->period_ms / 2 ? g->low_mw : g->high_mw; /* low first */
}

static long long energy_mj(const Gpu *g, long long ms) {
    long long passed, whole, phase, half, uj;
    if (g->counter == 2) return g->base_mj;
    if (g->quantum_ms > 0) ms -= ms % g->quantum_ms;
    passed = ms - g->t0_ms;
    if (passed < 0) passed = 0;
    if (strcmp(g->wave, "square")) return g->base_mj + passed * g->high_mw / 1000;
    half = g->period_ms / 2;
    whole = passed / g->period_ms;
    phase = passed % g->period_ms;
    uj = whole * (half * g->low_mw + (g->period_ms - half) * g->high_mw);
    uj += phase < half ? phase * g->low_mw : half * g->low_mw + (phase - half) * g->high_mw;
    return g->base_mj + uj / 1000;
}

/* The GPU of a handle (a MIG device answers as its parent is alive); else the error. */
static int find(const void *handle, Gpu **gpu) {
    int code = ready();
    long index = (const char *)handle - gpu_handle;
    if (code) return code;
    if (index < 0 || index >= state.gpus) return INVALID;
    if (state.delay_ms) {
        struct timespec pause = {state.delay_ms / 1000, state.delay_ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    *gpu = &state.gpu[index];
    return (*gpu)->lost ? LOST : OK;
}

static const Mig *mig_of(const void *handle) {
    long index = (const char *)handle - mig_handle;
    return index >= 0 && index < state.migs ? &state.mig[index] : NULL;
}

static int text(char *into, unsigned room, const char *from) {
    if (strlen(from) + 1 > room) return TOO_SMALL;
    strcpy(into, from);
    return OK;
}

int nvmlInitWithFlags(unsigned flags) {
    int code = load();
    (void)flags;
    if (code || state.fail) return code ? code : state.fail;
    started = 1;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    if (!started) return UNINITIALIZED;
    started = 0;
    return OK;
}
const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case TOO_SMALL: return "Insufficient Size";
    case 9: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}
int nvmlSystemGetDriverVersion(char *version, unsigned room) {
    int code = ready();
    return code ? code : text(version, room, state.driver);
}
int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = ready();
    if (!code) *count = (unsigned)state.gpus;
    return code;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    int code = ready();
    if (code) return code;
    if (index >= (unsigned)state.gpus) return INVALID;
    *handle = &gpu_handle[index];
    return state.gpu[index].lost ? LOST : OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    int code = ready();
    if (code) return code;
    for (int i = 0; i < state.gpus; i++)
        if (!strcmp(state.gpu[i].uuid, uuid)) return nvmlDeviceGetHandleByIndex_v2((unsigned)i, handle);
    return NOT_FOUND;
}
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned room) {
    Gpu *g;
    int code = ready();
    if (!code && mig_of(handle)) return text(uuid, room, mig_of(handle)->uuid);
    code = find(handle, &g);
    return code ? code : text(uuid, room, g->uuid);
}
int nvmlDeviceGetName(void *handle, char *name, unsigned room) {
    Gpu *g;
    int code = ready();
    if (!code && mig_of(handle)) {
        char full[200];
        const Mig *m = mig_of(handle);
        snprintf(full, sizeof full, "%s MIG %ug.%ugb", state.gpu[m->parent].name, m->slices, 10 * m->slices);
        return text(name, room, full);
    }
    code = find(handle, &g);
    return code ? code : text(name, room, g->name);
}
int nvmlDeviceGetIndex(void *handle, unsigned *index) {
    Gpu *g;
    int code = find(handle, &g);
    if (!code) *index = (unsigned)(g - state.gpu);
    return code;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    if (!g->power) return NOT_SUPPORTED;
    *milliwatts = power_mw(g, now_ms());
    return OK;
}
static int counter_mj(const Gpu *g, unsigned long long *millijoules) {
    if (!g->counter) return NOT_SUPPORTED;
    if (g->counter < 0) return -g->counter;
    *millijoules = (unsigned long long)energy_mj(g, now_ms());
    return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    Gpu *g;
    int code = find(handle, &g);
    return code ? code : counter_mj(g, millijoules);
}
typedef struct { unsigned id, scope; long long time_us, latency_us; int type, code; unsigned long long value; } Field; /* nvmlFieldValue_t */
int nvmlDeviceGetFieldValues(void *handle, int count, Field *fields) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    for (int i = 0; i < count; i++) {
        Field *f = &fields[i];
        f->time_us = now_ms() * 1000;
        f->value = 0;
        if (f->id == 83) { /* total energy */
            f->type = 3;
            f->code = counter_mj(g, &f->value);
        } else if ((f->id == 185 || f->id == 186) && g->power) { /* power, average and instant, in milliwatts */
            f->type = 1;
            f->value = power_mw(g, now_ms());
            f->code = OK;
        } else {
            f->code = NOT_SUPPORTED;
        }
    }
    return OK;
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned rates[2]) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    rates[0] = g->limit_mw ? (unsigned)(100ULL * power_mw(g, now_ms()) / g->limit_mw) : 0;
    rates[1] = 0;
    return OK;
}
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long memory[3]) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    memory[0] = 80ULL << 30;
    memory[1] = 79ULL << 30;
    memory[2] = 1ULL << 30;
    return OK;
}
int nvmlDeviceGetPowerManagementLimit(void *handle, unsigned *milliwatts) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    if (!g->limit_mw) return NOT_SUPPORTED;
    *milliwatts = g->limit_mw;
    return OK;
}
int nvmlDeviceGetPowerManagementDefaultLimit(void *handle, unsigned *mw) { return nvmlDeviceGetPowerManagementLimit(handle, mw); }
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *mw) { return nvmlDeviceGetPowerManagementLimit(handle, mw); }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *into) {
    Gpu *g = NULL;
    unsigned found = 0, room;
    const Mig *m = mig_of(handle);
    int code = m ? ready() : find(handle, &g), wanted;
    if (code) return code;
    wanted = m ? MIG_NUMBER + (int)(m - state.mig) : (int)(g - state.gpu);
    room = *count;
    for (int i = 0; i < state.processes; i++) {
        if (state.process[i].gpu != wanted) continue;
        if (into && found < room) into[found] = (Process){state.process[i].pid, ~0ULL, ~0U, ~0U};
        found++;
    }
    *count = found;
    return found > room ? TOO_SMALL : OK; /* room 0 and something there: ask again with more */
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, Process *into) {
    Gpu *g;
    int code = find(handle, &g);
    (void)into;
    if (!code) *count = 0;
    return code;
}
int nvmlDeviceGetProcessUtilization(void *handle, void *into, unsigned *count, unsigned long long since) {
    Gpu *g;
    int code = find(handle, &g);
    (void)into; (void)count; (void)since;
    return code ? code : NOT_FOUND;
}
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *later) {
    Gpu *g;
    int code = find(handle, &g);
    if (code) return code;
    *now = *later = 0;
    for (int i = 0; i < state.migs; i++)
        if (state.mig[i].parent == g - state.gpu) *now = *later = 1;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    Gpu *g;
    int code = find(handle, &g);
    if (!code) *count = 7;
    return code;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned place, void **mig) {
    Gpu *g;
    unsigned seen = 0;
    int code = find(handle, &g);
    if (code) return code;
    for (int i = 0; i < state.migs; i++) {
        if (state.mig[i].parent == g - state.gpu && seen++ == place) {
            *mig = &mig_handle[i];
            return OK;
        }
    }
    return NOT_FOUND;
}
int nvmlDeviceGetAttributes_v2(void *handle, Attributes *into) {
    int code = ready();
    if (code) return code;
    if (!mig_of(handle)) return NOT_SUPPORTED;
    memset(into, 0, sizeof *into);
    into->gi_slices = into->ci_slices = mig_of(handle)->slices;
    into->memory_mb = 9728 * mig_of(handle)->slices;
    return OK;
}
int nvmlDeviceGetArchitecture(void *handle, unsigned *architecture) {
    Gpu *g;
    int code = find(handle, &g);
    if (!code) *architecture = g->counter ? 7 : 4; /* Ampere; Pascal has no counter */
    return code;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) {
    Gpu *g;
    int code = find(handle, &g);
    (void)sensor;
    if (!code) *degrees = 45;
    return code;
}
int nvmlDeviceGetComputeMode(void *handle, unsigned *mode) {
    Gpu *g;
    int code = find(handle, &g);
    if (!code) *mode = 0;
    return code;
}
