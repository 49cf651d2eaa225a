/*
 * A fake libnvidia-ml.so.1 that follows a scenario file instead of calling a driver.
 *
 * $GPUWISE_FAKE_NVML names the file. The library reads it again when it is replaced, and its clock then starts at 0.
 * One statement per line; a value that no line sets returns NVML_ERROR_NOT_SUPPORTED:
 *
 *   driver  <version>
 *   speed   <factor>                                          scenario seconds per real second
 *   gpu     <index> <key> <value...>                          a GPU
 *   mig     <gpu> <slot> <key> <value...>                     a MIG instance of that GPU
 *   process <gpu> <pid> <memory bytes> <SM %> [<instance>]    a compute process
 *   mps     <gpu> <pid> <memory bytes>                        an MPS client
 *   event   <gpu> <XID> <t>                                   an XID event at second t
 *   fail    <function> <NVML code> [<gpu>]                    the call fails, on that GPU or on all
 *   hang    <function> [<seconds>]                            the call hangs while the line exists, or for these seconds
 *   reload  <from> <to>                                       the driver is unloaded between these seconds
 *   lost    <gpu> [<t>]                                       from second t every call on that GPU returns GPU_IS_LOST
 *
 * A number is A, A+R/s (a counter) or A+R/s..B (a ramp that stays at B). Keys: name, uuid, pci, and the numbers minor,
 * total, reserved, used (bytes), util, memutil, encoder, decoder, fan (%), power, limit (mW), energy (mJ), temp (C),
 * clock.<type> (MHz), pstate, reasons (mask), linkgen, linkwidth, ecc.<type>.<counter>, ecc_mode, remap.<0-3>,
 * maxclock.<type> (MHz), powermin, powermax, powerdefault, powerset (mW), threshold.<type>, margin (C), sram (exceeded),
 * repair.<0-1>, throttle.<0-2> (ns; of three clock event reasons, whose field ids depend on the driver), field.<id>.<scope>,
 * no_samples (what GetProcessUtilization returns without an active process), compute_mode, mig_mode, gpu_instance_id, compute_instance_id, profile_id, start, size, field.<id>, processes (the
 * number of processes with unknown memory), gpm.<metric id> (%), gpm_code.<metric id> (the return code of that metric).
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15 };
enum { GPUS = 16, MIGS = 7, NUMBERS = 128, PROCESSES = 32, FAILURES = 32, EVENTS = 32 };

typedef struct { char key[24]; double start, rate, end; unsigned long long exact; } number;
typedef struct { unsigned pid; unsigned long long memory; double sm; int instance, mps; } process;
typedef struct unit {
    int present, index, count, processes;
    char name[96], uuid[96], pci[32];
    number numbers[NUMBERS];
    process process[PROCESSES];
    struct unit *parent;
} unit;
typedef struct { char function[64]; int code, index, hang; double seconds; } failure;
typedef struct { int gpu; unsigned long long xid; double at; } event;
enum { NEVER = -1 };

static unit gpus[GPUS], migs[GPUS][MIGS];
static failure failures[FAILURES];
static event events[EVENTS];
static int failure_count, event_count, initialised, scenarios;
static char driver[80];
static double speed, began, away_from, away_to, lost_at[GPUS];
static struct stat loaded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now(void) { return (monotonic() - began) * speed; }

static void put(unit *u, const char *key, const char *value)
{
    u->present = 1;
    if (!strcmp(key, "name")) snprintf(u->name, sizeof u->name, "%s", value);
    else if (!strcmp(key, "uuid")) snprintf(u->uuid, sizeof u->uuid, "%s", value);
    else if (!strcmp(key, "pci")) snprintf(u->pci, sizeof u->pci, "%s", value);
    else {
        number n = {.end = NAN, .exact = strtoull(value, NULL, 10)};
        char *rest;
        n.start = strtod(value, &rest);
        if (*rest == '+' || *rest == '-') {
            n.rate = strtod(rest, &rest);
            char *dots = strstr(rest, "..");
            if (dots) n.end = strtod(dots + 2, NULL);
        }
        snprintf(n.key, sizeof n.key, "%s", key);
        int i = 0;
        while (i < u->count && strcmp(u->numbers[i].key, key)) i++;
        if (i < NUMBERS) u->numbers[i] = n, u->count = i < u->count ? u->count : i + 1;
    }
}

static void statement(const char *line)
{
    char key[64], value[256];
    int gpu, mig;
    failure f = {.index = -1};
    event e = {0};
    process p = {.instance = -1};
    if (sscanf(line, "gpu %d %63s %255[^\n]", &gpu, key, value) == 3 && gpu < GPUS)
        gpus[gpu].index = gpu, put(&gpus[gpu], key, value);
    else if (sscanf(line, "mig %d %d %63s %255[^\n]", &gpu, &mig, key, value) == 4 && gpu < GPUS && mig < MIGS)
        migs[gpu][mig].index = gpu, migs[gpu][mig].parent = &gpus[gpu], put(&migs[gpu][mig], key, value);
    else if (sscanf(line, "process %d %u %llu %lf %d", &gpu, &p.pid, &p.memory, &p.sm, &p.instance) >= 4 && gpu < GPUS)
        gpus[gpu].process[gpus[gpu].processes++ % PROCESSES] = p;
    else if (p.mps = 1, sscanf(line, "mps %d %u %llu", &gpu, &p.pid, &p.memory) == 3 && gpu < GPUS)
        gpus[gpu].process[gpus[gpu].processes++ % PROCESSES] = p;
    else if (sscanf(line, "event %d %llu %lf", &e.gpu, &e.xid, &e.at) == 3 && event_count < EVENTS) events[event_count++] = e;
    else if (sscanf(line, "fail %63s %d %d", f.function, &f.code, &f.index) >= 2 && failure_count < FAILURES)
        failures[failure_count++] = f;
    else if (sscanf(line, "hang %63s %lf", f.function, &f.seconds) >= 1 && failure_count < FAILURES)
        f.hang = 1, failures[failure_count++] = f;
    else if (sscanf(line, "lost %d", &gpu) == 1 && gpu < GPUS) lost_at[gpu] = 0, sscanf(line, "lost %d %lf", &gpu, &lost_at[gpu]);
    else if (sscanf(line, "reload %lf %lf", &away_from, &away_to) == 2 || sscanf(line, "speed %lf", &speed) == 1) {}
    else sscanf(line, "driver %79s", driver);
}

static int load(void)
{
    char line[512];
    struct stat found;
    const char *path = getenv("GPUWISE_FAKE_NVML");
    if (!path || stat(path, &found)) return DRIVER_NOT_LOADED;
    if (found.st_ino == loaded.st_ino && found.st_mtim.tv_sec == loaded.st_mtim.tv_sec
        && found.st_mtim.tv_nsec == loaded.st_mtim.tv_nsec) return SUCCESS;
    FILE *file = fopen(path, "r");
    if (!file) return DRIVER_NOT_LOADED;
    loaded = found, scenarios++;
    memset(gpus, 0, sizeof gpus), memset(migs, 0, sizeof migs);
    failure_count = event_count = 0, speed = 1, away_from = away_to = -1, began = monotonic();
    for (int i = 0; i < GPUS; i++) lost_at[i] = NEVER;
    snprintf(driver, sizeof driver, "999.0-fake");
    while (fgets(line, sizeof line, file)) statement(line);
    fclose(file);
    return SUCCESS;
}

static int away(void) { double t = now(); return t >= away_from && t < away_to; }

/* Take the lock, and return the scenario's code for this call: 0, or the error to return. */
static int enter(const char *function, const unit *u)
{
    pthread_mutex_lock(&lock);
again:;
    int code = load();
    if (code) return code;
    if (away()) { initialised = 0; return DRIVER_NOT_LOADED; }
    for (int i = 0; i < failure_count; i++) {
        failure *f = &failures[i];
        if (strcmp(f->function, function)) continue;
        if (f->hang && (f->seconds == 0 || now() < f->seconds)) {
            pthread_mutex_unlock(&lock);
            usleep(2000);
            pthread_mutex_lock(&lock);
            goto again;
        }
        if (!f->hang && (f->index < 0 || (u && u->index == f->index))) return f->code;
    }
    if (u && lost_at[u->index] != NEVER && now() >= lost_at[u->index]) return GPU_IS_LOST;
    return initialised || !strcmp(function, "nvmlInitWithFlags") ? SUCCESS : UNINITIALIZED;
}
static void leave(int *code) { (void)code; pthread_mutex_unlock(&lock); }
#define ENTER(u) __attribute__((cleanup(leave))) int code_ = enter(__func__, u); if (code_) return code_

static const number *find(const unit *u, const char *key)
{
    for (int i = 0; i < u->count; i++) if (!strcmp(u->numbers[i].key, key)) return &u->numbers[i];
    return NULL;
}
static double valued(const number *n)
{
    double value = n->start + n->rate * now();
    if (!isnan(n->end)) value = n->rate < 0 ? fmax(value, n->end) : fmin(value, n->end);
    return value;
}
static unsigned long long whole(const number *n) { return n->rate == 0 ? n->exact : (unsigned long long)valued(n); }
static int take(const unit *u, const char *key, unsigned long long *out)
{
    const number *n = find(u, key);
    if (!n) return NOT_SUPPORTED;
    *out = whole(n);
    return SUCCESS;
}
static int take_unsigned(const unit *u, const char *key, unsigned *out)
{
    unsigned long long value;
    int code = take(u, key, &value);
    if (!code) *out = (unsigned)value;
    return code;
}
static const char *joined(const char *name, int a, int b)
{
    static char text[24];  /* protected by the lock */
    if (b < 0) snprintf(text, sizeof text, "%s.%d", name, a);
    else snprintf(text, sizeof text, "%s.%d.%d", name, a, b);
    return text;
}
#define UNSIGNED(function, key) int function(unit *u, unsigned *out) { ENTER(u); return take_unsigned(u, key, out); }

int nvmlInitWithFlags(unsigned flags) { (void)flags; ENTER(NULL); initialised++; return SUCCESS; }
int nvmlShutdown(void) { ENTER(NULL); initialised--; return SUCCESS; }
const char *nvmlErrorString(int code) { return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "scripted failure"; }
int nvmlSystemGetDriverVersion(char *version, unsigned length) { ENTER(NULL); snprintf(version, length, "%s", driver); return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER(NULL);
    for (*count = 0; *count < GPUS && gpus[*count].present; ++*count) {}
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, unit **device)
{
    if (index >= GPUS) return INVALID_ARGUMENT;
    ENTER(&(unit){.index = (int)index});
    if (!gpus[index].present) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}
int nvmlDeviceGetName(unit *u, char *name, unsigned length) { ENTER(u); snprintf(name, length, "%s", u->name); return SUCCESS; }
int nvmlDeviceGetUUID(unit *u, char *uuid, unsigned length) { ENTER(u); snprintf(uuid, length, "%s", u->uuid); return SUCCESS; }

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
int nvmlDeviceGetPciInfo_v3(unit *u, pci_info *pci)
{
    ENTER(u);
    if (!*u->pci) return NOT_SUPPORTED;
    snprintf(pci->bus_id, sizeof pci->bus_id, "%s", u->pci);
    return SUCCESS;
}
UNSIGNED(nvmlDeviceGetMinorNumber, "minor")

int nvmlDeviceGetMemoryInfo(unit *u, unsigned long long *memory)
{
    ENTER(u);
    unsigned long long total, used, reserved = 0;
    if (take(u, "total", &total) || take(u, "used", &used)) return NOT_SUPPORTED;
    take(u, "reserved", &reserved);
    memory[0] = total, memory[1] = total - used - reserved, memory[2] = used + reserved;
    return SUCCESS;
}
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
int nvmlDeviceGetMemoryInfo_v2(unit *u, memory_v2 *m)
{
    ENTER(u);
    if (m->version != 0x02000028) return INVALID_ARGUMENT;
    if (take(u, "total", &m->total) || take(u, "used", &m->used)) return NOT_SUPPORTED;
    m->reserved = 0, take(u, "reserved", &m->reserved);
    m->free = m->total - m->used - m->reserved;
    return SUCCESS;
}

/* Reproduces dcgm-exporter#216: on a MIG GPU, this returns 0 and no error. */
int nvmlDeviceGetUtilizationRates(unit *u, unsigned *rates)
{
    ENTER(u);
    unsigned mig = 0;
    rates[0] = rates[1] = 0;
    if (u->parent || (!take_unsigned(u, "mig_mode", &mig) && mig)) return SUCCESS;
    take_unsigned(u, "memutil", &rates[1]);
    return take_unsigned(u, "util", &rates[0]);
}
int nvmlDeviceGetEncoderUtilization(unit *u, unsigned *util, unsigned *period) { ENTER(u); *period = 100000; return take_unsigned(u, "encoder", util); }
int nvmlDeviceGetDecoderUtilization(unit *u, unsigned *util, unsigned *period) { ENTER(u); *period = 100000; return take_unsigned(u, "decoder", util); }
UNSIGNED(nvmlDeviceGetPowerUsage, "power")
UNSIGNED(nvmlDeviceGetEnforcedPowerLimit, "limit")
int nvmlDeviceGetTotalEnergyConsumption(unit *u, unsigned long long *millijoules) { ENTER(u); return take(u, "energy", millijoules); }
int nvmlDeviceGetTemperature(unit *u, int sensor, unsigned *out) { ENTER(u); return sensor ? INVALID_ARGUMENT : take_unsigned(u, "temp", out); }
int nvmlDeviceGetClockInfo(unit *u, int type, unsigned *out) { ENTER(u); return take_unsigned(u, joined("clock", type, -1), out); }
int nvmlDeviceGetMaxClockInfo(unit *u, int type, unsigned *out) { ENTER(u); return take_unsigned(u, joined("maxclock", type, -1), out); }
UNSIGNED(nvmlDeviceGetPowerManagementLimit, "powerset")
UNSIGNED(nvmlDeviceGetPowerManagementDefaultLimit, "powerdefault")
int nvmlDeviceGetPowerManagementLimitConstraints(unit *u, unsigned *least, unsigned *most)
{
    ENTER(u);
    int code = take_unsigned(u, "powermin", least);
    return code ? code : take_unsigned(u, "powermax", most);
}
int nvmlDeviceGetTemperatureThreshold(unit *u, int type, unsigned *out) { ENTER(u); return take_unsigned(u, joined("threshold", type, -1), out); }
typedef struct { unsigned version; int margin; } margin;
int nvmlDeviceGetMarginTemperature(unit *u, margin *out)
{
    ENTER(u);
    const number *n = find(u, "margin");
    if (out->version != 0x1000008) return INVALID_ARGUMENT;
    if (!n) return NOT_SUPPORTED;
    out->margin = (int)valued(n);
    return SUCCESS;
}
UNSIGNED(nvmlDeviceGetPerformanceState, "pstate")
int nvmlDeviceGetCurrentClocksEventReasons(unit *u, unsigned long long *mask) { ENTER(u); return take(u, "reasons", mask); }
int nvmlDeviceGetCurrentClocksThrottleReasons(unit *u, unsigned long long *mask) { ENTER(u); return take(u, "reasons", mask); }
UNSIGNED(nvmlDeviceGetCurrPcieLinkGeneration, "linkgen")
UNSIGNED(nvmlDeviceGetCurrPcieLinkWidth, "linkwidth")
UNSIGNED(nvmlDeviceGetFanSpeed, "fan")
UNSIGNED(nvmlDeviceGetComputeMode, "compute_mode")
int nvmlDeviceGetTotalEccErrors(unit *u, int type, int counter, unsigned long long *out) { ENTER(u); return take(u, joined("ecc", type, counter), out); }
int nvmlDeviceGetEccMode(unit *u, unsigned *current, unsigned *pending)
{
    ENTER(u);
    int code = take_unsigned(u, "ecc_mode", current);
    *pending = *current;
    return code;
}
int nvmlDeviceGetRemappedRows(unit *u, unsigned *correctable, unsigned *uncorrectable, unsigned *pending, unsigned *failed)
{
    ENTER(u);
    unsigned *out[] = {correctable, uncorrectable, pending, failed};
    for (int i = 0; i < 4; i++) if (take_unsigned(u, joined("remap", i, -1), out[i])) return NOT_SUPPORTED;
    return SUCCESS;
}
typedef struct { unsigned version; unsigned long long counts[11]; unsigned exceeded; } sram;
int nvmlDeviceGetSramEccErrorStatus(unit *u, sram *out) { ENTER(u); return out->version != 0x1000068 ? INVALID_ARGUMENT : take_unsigned(u, "sram", &out->exceeded); }
typedef struct { unsigned version, channel, tpc; } repair;
int nvmlDeviceGetRepairStatus(unit *u, repair *out)
{
    ENTER(u);
    if (out->version != 0x100000C) return INVALID_ARGUMENT;
    int code = take_unsigned(u, "repair.0", &out->channel);
    return code ? code : take_unsigned(u, "repair.1", &out->tpc);
}
/* The driver's branch and release as one number: 580082 is 580.82. */
static int release(void)
{
    int branch = 0, minor = 0;
    sscanf(driver, "%d.%d", &branch, &minor);
    return branch * 1000 + minor;
}
/* Ids from 251 on mean other things in each branch of the driver; scopes of power are ignored before 550. */
static int take_field(unit *u, unsigned id, unsigned scope, unsigned long long *out)
{
    int first = release() >= 580082 ? 269 : release() >= 575051 && release() <= 580065 ? 251 : 0;
    if (first && id >= (unsigned)first && id < (unsigned)first + 3) return take(u, joined("throttle", (int)id - first, -1), out);
    if (id >= 251 && release() < 575051) return INVALID_ARGUMENT;
    if (id >= 251 && id < 274) return *out = 1, SUCCESS;  /* a setting of power smoothing */
    int scoped = id == 186 && scope && release() >= 550000;
    return take(u, joined("field", (int)id, scoped ? (int)scope : -1), out);
}
typedef struct { unsigned id, scope; long long timestamp, latency; int type, code; union { double d; unsigned long long n; } value; } field;
int nvmlDeviceGetFieldValues(unit *u, int count, field *fields)
{
    ENTER(u);
    for (int i = 0; i < count; i++) {
        fields[i].type = 3;  /* unsigned long long */
        fields[i].code = take_field(u, fields[i].id, fields[i].scope, &fields[i].value.n);
    }
    return SUCCESS;
}

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } running;
static int running_of(unit *u, unsigned *count, running *out, int mps)
{
    unit *card = u->parent ? u->parent : u;
    unsigned capacity = *count, found = 0, anonymous = 0, instance = 0;
    int counted = !mps && !take_unsigned(u, "processes", &anonymous);
    if (!counted && !card->processes && !find(u, "used")) return NOT_SUPPORTED;
    if (u->parent) take_unsigned(u, "gpu_instance_id", &instance);
    for (int i = 0; i < card->processes; i++) {
        process *p = &card->process[i];
        if (p->mps != mps || (u->parent && p->instance != (int)instance)) continue;
        if (out && found < capacity) out[found] = (running){p->pid, p->memory, (unsigned)p->instance, ~0u};
        found++;
    }
    for (unsigned i = 0; i < anonymous; i++, found++)
        if (out && found < capacity) out[found] = (running){1000 + i, ~0ull, ~0u, ~0u};
    *count = found;
    return found && (!out || capacity < found) ? INSUFFICIENT_SIZE : SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(unit *u, unsigned *count, running *out) { ENTER(u); return running_of(u, count, out, 0); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(unit *u, unsigned *count, running *out) { ENTER(u); return running_of(u, count, out, 1); }

typedef struct { unsigned pid; unsigned long long at; unsigned sm, memory, encoder, decoder; } utilisation;
int nvmlDeviceGetProcessUtilization(unit *u, utilisation *out, unsigned *count, unsigned long long since)
{
    ENTER(u);
    unsigned capacity = *count, found = 0, mig = 0;
    unsigned long long at = (unsigned long long)(monotonic() * 1e6);
    if (u->parent || (!take_unsigned(u, "mig_mode", &mig) && mig) || !u->processes) return NOT_SUPPORTED;
    for (int i = 0; i < u->processes && at > since; i++) {
        if (u->process[i].sm == 0) continue;
        if (out && found < capacity) out[found] = (utilisation){u->process[i].pid, at, (unsigned)u->process[i].sm, 0, 0, 0};
        found++;
    }
    *count = found;
    unsigned none = NOT_FOUND;
    take_unsigned(u, "no_samples", &none);
    return !found ? (int)none : !out || capacity < found ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetMigMode(unit *u, unsigned *current, unsigned *pending)
{
    ENTER(u);
    int code = take_unsigned(u, "mig_mode", current);
    *pending = *current;
    return code;
}
int nvmlDeviceGetMaxMigDeviceCount(unit *u, unsigned *count) { ENTER(u); *count = MIGS; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(unit *u, unsigned index, unit **mig)
{
    ENTER(u);
    if (index >= MIGS || !migs[u->index][index].present) return NOT_FOUND;
    *mig = &migs[u->index][index];
    return SUCCESS;
}
UNSIGNED(nvmlDeviceGetGpuInstanceId, "gpu_instance_id")
UNSIGNED(nvmlDeviceGetComputeInstanceId, "compute_instance_id")
static unit *instance_of(unit *u, unsigned id)
{
    unsigned found;
    for (int j = 0; j < MIGS; j++)
        if (migs[u->index][j].present && !take_unsigned(&migs[u->index][j], "gpu_instance_id", &found) && found == id) return &migs[u->index][j];
    return NULL;
}
int nvmlDeviceGetGpuInstanceById(unit *u, unsigned id, unit **instance) { ENTER(u); return (*instance = instance_of(u, id)) ? SUCCESS : NOT_FOUND; }
typedef struct { unit *device; unsigned id, profile, start, size; } instance_info;
int nvmlGpuInstanceGetInfo(unit *u, instance_info *info)
{
    ENTER(u);
    info->device = u->parent;
    if (take_unsigned(u, "profile_id", &info->profile) || take_unsigned(u, "start", &info->start)) return NOT_SUPPORTED;
    return take_unsigned(u, "size", &info->size);
}

typedef struct { unit *of; } sample;
typedef struct { unsigned id; int code; double value; const char *info[3]; } gpm_metric;
typedef struct { unsigned version, count; sample *first, *second; gpm_metric metrics[]; } gpm_request;
typedef struct { unsigned version, supported; } gpm_support;
int nvmlGpmQueryDeviceSupport(unit *u, gpm_support *support)
{
    ENTER(u);
    support->supported = 0;
    for (int j = -1; j < MIGS; j++) {
        unit *one = j < 0 ? u : &migs[u->index][j];
        for (int i = 0; i < one->count; i++) support->supported |= !strncmp(one->numbers[i].key, "gpm.", 4);
    }
    return SUCCESS;
}
int nvmlGpmSampleAlloc(sample **s) { ENTER(NULL); *s = calloc(1, sizeof **s); return SUCCESS; }
int nvmlGpmSampleFree(sample *s) { free(s); return SUCCESS; }
int nvmlGpmSampleGet(unit *u, sample *s) { ENTER(u); s->of = u; return SUCCESS; }
int nvmlGpmMigSampleGet(unit *u, unsigned gpu_instance_id, sample *s) { ENTER(u); return (s->of = instance_of(u, gpu_instance_id)) ? SUCCESS : NOT_FOUND; }
int nvmlGpmMetricsGet(gpm_request *request)
{
    if (request->version != 1 || !request->first || !request->second) return INVALID_ARGUMENT;
    unit *u = request->second->of;
    if (!u || request->first->of != u) return INVALID_ARGUMENT;
    ENTER(u);
    for (unsigned i = 0; i < request->count; i++) {
        gpm_metric *metric = &request->metrics[i];
        const number *value = find(u, joined("gpm", (int)metric->id, -1)), *code = find(u, joined("gpm_code", (int)metric->id, -1));
        metric->code = !value ? NOT_SUPPORTED : code ? (int)code->exact : SUCCESS;
        metric->value = value ? valued(value) : 0;
    }
    return SUCCESS;
}

typedef struct { unsigned gpus, delivered; int scenario; } event_set;
typedef struct { unit *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } event_data;
int nvmlEventSetCreate(event_set **set) { ENTER(NULL); *set = calloc(1, sizeof **set); return SUCCESS; }
int nvmlEventSetFree(event_set *set) { free(set); return SUCCESS; }
int nvmlDeviceRegisterEvents(unit *u, unsigned long long types, event_set *set)
{
    ENTER(u);
    if (types != 8) return INVALID_ARGUMENT;
    set->gpus |= 1u << u->index;
    return SUCCESS;
}
int nvmlEventSetWait_v2(event_set *set, event_data *data, unsigned timeout_ms)
{
    ENTER(NULL);
    for (double until = monotonic() + timeout_ms / 1e3;;) {
        double next = until;
        if (set->scenario != scenarios) set->scenario = scenarios, set->delivered = 0;
        for (int i = 0; i < event_count; i++) {
            event *e = &events[i];
            if (set->delivered >> i & 1 || !(set->gpus >> e->gpu & 1)) continue;
            if (e->at > now()) { next = fmin(next, began + e->at / speed); continue; }
            set->delivered |= 1u << i;
            *data = (event_data){&gpus[e->gpu], 8, e->xid, ~0u, ~0u};
            return SUCCESS;
        }
        double left = next - monotonic();
        if (next == until && left <= 0) return TIMEOUT;
        pthread_mutex_unlock(&lock);
        usleep(fmax(left, 0) * 1e6);  /* a driver blocks here; a new scenario's events come with the next wait */
        pthread_mutex_lock(&lock);
        if (load() || away() || !initialised) return DRIVER_NOT_LOADED;
    }
}
