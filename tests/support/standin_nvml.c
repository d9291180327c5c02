/* A stand-in for NVIDIA's management library: one board, which draws 1.5 J between two looks at it. */
int nvmlInit_v2(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **out);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out);
const char *nvmlErrorString(int code);

enum { NOT_FOUND = 6 };
static int is_up;
static unsigned long long millijoules = 40000;

int nvmlInit_v2(void) {
  is_up = 1;
  return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **out) {
  const char *const known = "0000:01:00.0";
  for (int i = 0; i < 13; i++) {
    if (pci[i] != known[i]) return NOT_FOUND;
  }
  *out = &millijoules;
  return is_up ? 0 : 1;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out) {
  if (device != &millijoules) return 2;
  *out = millijoules += 1500;
  return 0;
}

const char *nvmlErrorString(int code) { return code == NOT_FOUND ? "Not Found" : "Unknown Error"; }
