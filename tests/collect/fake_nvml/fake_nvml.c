/*
 * A libnvidia-ml.so.1 that plays a scenario file instead of talking to a driver.
 *
 * The file named by $GPUWISE_FAKE_NVML is read anew on each call, so a test changes the hardware by replacing it.
 * One statement a line; what no line sets is NVML_ERROR_NOT_SUPPORTED:
 *
 *   gpu  <index> <key> <value...>            a GPU
 *   mig  <gpu index> <index> <key> <value>   a MIG instance of it
 *   fail <function> <NVML code> [<index>]    that call fails, on that GPU or on all
 *   hang <function>                          that call does not return while the line stands
 *
 * Keys: name, uuid, total, used (bytes), util (%), power (mW), energy (mJ), processes, mig_mode, gpu_instance_id,
 * gpm.<metric id> (%), gpm_code.<metric id> (the code returned for that metric alone).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };
enum { GPUS = 16, MIGS = 7, METRICS = 16, FAILURES = 32 };

typedef struct { int set; unsigned long long n; } number;
typedef struct unit {
    int present, index, gpm_code[METRICS];
    char name[96], uuid[96];
    number total, used, util, power, energy, processes, mig_mode, gpu_instance_id;
    double gpm[METRICS];
    int gpm_set[METRICS];
    struct unit *parent;
} unit;
typedef struct { char function[64]; int code, index, hang; } failure;

static unit gpus[GPUS], migs[GPUS][MIGS];
static failure failures[FAILURES];
static int failure_count;

static void put(unit *u, const char *key, const char *value)
{
    struct { const char *key; number *slot; } numbers[] = {
        {"total", &u->total}, {"used", &u->used}, {"util", &u->util}, {"power", &u->power}, {"energy", &u->energy},
        {"processes", &u->processes}, {"mig_mode", &u->mig_mode}, {"gpu_instance_id", &u->gpu_instance_id},
    };
    int metric;
    u->present = 1;
    if (!strcmp(key, "name")) snprintf(u->name, sizeof u->name, "%s", value);
    else if (!strcmp(key, "uuid")) snprintf(u->uuid, sizeof u->uuid, "%s", value);
    else if (sscanf(key, "gpm.%d", &metric) == 1 && metric < METRICS) u->gpm_set[metric] = 1, u->gpm[metric] = atof(value);
    else if (sscanf(key, "gpm_code.%d", &metric) == 1 && metric < METRICS) u->gpm_code[metric] = atoi(value);
    else for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) *numbers[i].slot = (number){1, strtoull(value, NULL, 10)};
}

static int load(void)
{
    char line[512], key[64], value[256];
    const char *path = getenv("GPUWISE_FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    int gpu, mig;
    memset(gpus, 0, sizeof gpus), memset(migs, 0, sizeof migs), failure_count = 0;
    if (!file) return DRIVER_NOT_LOADED;
    while (fgets(line, sizeof line, file)) {
        failure f = {.index = -1};
        if (sscanf(line, "gpu %d %63s %255[^\n]", &gpu, key, value) == 3 && gpu < GPUS)
            gpus[gpu].index = gpu, put(&gpus[gpu], key, value);
        else if (sscanf(line, "mig %d %d %63s %255[^\n]", &gpu, &mig, key, value) == 4 && gpu < GPUS && mig < MIGS)
            migs[gpu][mig].index = gpu, migs[gpu][mig].parent = &gpus[gpu], put(&migs[gpu][mig], key, value);
        else if (sscanf(line, "fail %63s %d %d", f.function, &f.code, &f.index) >= 2 && failure_count < FAILURES)
            failures[failure_count++] = f;
        else if (sscanf(line, "hang %63s", f.function) == 1 && failure_count < FAILURES)
            f.hang = 1, failures[failure_count++] = f;
    }
    fclose(file);
    return SUCCESS;
}

/* What the scenario says of this call: 0, or the code it must return. */
static int enter(const char *function, const unit *u)
{
again:;
    int code = load();
    if (code) return code;
    for (int i = 0; i < failure_count; i++) {
        if (strcmp(failures[i].function, function)) continue;
        if (failures[i].hang) { usleep(5000); goto again; }
        if (failures[i].index < 0 || (u && u->index == failures[i].index)) return failures[i].code;
    }
    return SUCCESS;
}
#define ENTER(u) do { int code_ = enter(__func__, u); if (code_) return code_; } while (0)
#define NUMBER(u, field, out) do { ENTER(u); if (!(u)->field.set) return NOT_SUPPORTED; *(out) = (u)->field.n; return SUCCESS; } while (0)

int nvmlInitWithFlags(unsigned flags) { (void)flags; ENTER(NULL); return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "scripted failure"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) { ENTER(NULL); snprintf(version, length, "999.0-fake"); return SUCCESS; }

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

int nvmlDeviceGetMemoryInfo(unit *u, unsigned long long *memory)
{
    ENTER(u);
    if (!u->total.set || !u->used.set) return NOT_SUPPORTED;
    memory[0] = u->total.n, memory[1] = u->total.n - u->used.n, memory[2] = u->used.n;
    return SUCCESS;
}

/* The bug of dcgm-exporter#216, kept on purpose: on a MIG GPU, this says 0 and no error. */
int nvmlDeviceGetUtilizationRates(unit *u, unsigned *rates)
{
    ENTER(u);
    rates[0] = rates[1] = 0;
    if (u->parent || u->mig_mode.n) return SUCCESS;
    if (!u->util.set) return NOT_SUPPORTED;
    rates[0] = (unsigned)u->util.n;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(unit *u, unsigned *milliwatts) { NUMBER(u, power, milliwatts); }
int nvmlDeviceGetTotalEnergyConsumption(unit *u, unsigned long long *millijoules) { NUMBER(u, energy, millijoules); }

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process;
int nvmlDeviceGetComputeRunningProcesses_v3(unit *u, unsigned *count, process *processes)
{
    ENTER(u);
    if (!u->processes.set) return NOT_SUPPORTED;
    unsigned room = *count;
    *count = (unsigned)u->processes.n;
    if (*count == 0) return SUCCESS;
    if (!processes || room < *count) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < *count; i++) processes[i] = (process){.pid = 1000 + i, .used = 1 << 20};
    return SUCCESS;
}

int nvmlDeviceGetMigMode(unit *u, unsigned *current, unsigned *pending)
{
    ENTER(u);
    if (!u->mig_mode.set) return NOT_SUPPORTED;
    *current = *pending = (unsigned)u->mig_mode.n;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(unit *u, unsigned *count) { ENTER(u); *count = MIGS; return SUCCESS; }
int nvmlDeviceGetGpuInstanceId(unit *u, unsigned *id) { NUMBER(u, gpu_instance_id, id); }

int nvmlDeviceGetMigDeviceHandleByIndex(unit *u, unsigned index, unit **mig)
{
    ENTER(u);
    if (index >= MIGS || !migs[u->index][index].present) return NOT_FOUND;
    *mig = &migs[u->index][index];
    return SUCCESS;
}

typedef struct { unit *of; } sample;
typedef struct { unsigned id; int code; double value; const char *info[3]; } gpm_metric;
typedef struct { unsigned version, count; sample *first, *second; gpm_metric metrics[]; } gpm_request;
typedef struct { unsigned version, supported; } gpm_support;

int nvmlGpmQueryDeviceSupport(unit *u, gpm_support *support)
{
    ENTER(u);
    support->supported = 0;
    for (int i = 0; i < METRICS; i++) support->supported |= (unsigned)u->gpm_set[i];
    for (int j = 0; j < MIGS; j++)
        for (int i = 0; i < METRICS; i++) support->supported |= (unsigned)migs[u->index][j].gpm_set[i];
    return SUCCESS;
}

int nvmlGpmSampleAlloc(sample **s) { ENTER(NULL); *s = calloc(1, sizeof **s); return SUCCESS; }
int nvmlGpmSampleFree(sample *s) { free(s); return SUCCESS; }
int nvmlGpmSampleGet(unit *u, sample *s) { ENTER(u); s->of = u; return SUCCESS; }

int nvmlGpmMigSampleGet(unit *u, unsigned gpu_instance_id, sample *s)
{
    ENTER(u);
    for (int j = 0; j < MIGS; j++)
        if (migs[u->index][j].present && migs[u->index][j].gpu_instance_id.n == gpu_instance_id) {
            s->of = &migs[u->index][j];
            return SUCCESS;
        }
    return NOT_FOUND;
}

int nvmlGpmMetricsGet(gpm_request *request)
{
    if (request->version != 1 || !request->first || !request->second) return INVALID_ARGUMENT;
    unit *u = request->second->of;
    if (!u || request->first->of != u) return INVALID_ARGUMENT;
    ENTER(u);
    for (unsigned i = 0; i < request->count; i++) {
        gpm_metric *metric = &request->metrics[i];
        if (metric->id >= METRICS) return INVALID_ARGUMENT;
        metric->code = u->gpm_set[metric->id] ? u->gpm_code[metric->id] : NOT_SUPPORTED;
        metric->value = u->gpm[metric->id];
    }
    return SUCCESS;
}
