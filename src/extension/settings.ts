// Settings are the machine's, never a workspace's (scope `machine`, restricted); they travel to the trainer as THAW_* variables.

/** Every setting that Thaw declares, without the `thaw.` in front, and the variable that carries it. */
export const SETTINGS = {
  device: 'THAW_DEVICE',
  gpu: 'THAW_GPU',
  precision: 'THAW_PRECISION',
  gpuMemoryGiB: 'THAW_GPU_MEMORY_GIB',
  runtimeFolder: 'THAW_RUNTIME',
  cacheSizeGiB: 'THAW_CACHE_GIB',
  threads: 'THAW_THREADS',
} as const satisfies Record<string, `THAW_${string}`>;

/**
 * The variables that the settings stand for. A setting at its default adds none, so that a variable of the environment counts.
 * `machineValue` gives what the person's or the machine's settings say, never what a workspace says.
 */
export function settingVariables(machineValue: (setting: keyof typeof SETTINGS) => unknown): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const setting of Object.keys(SETTINGS) as (keyof typeof SETTINGS)[]) {
    const variable = SETTINGS[setting];
    const value = machineValue(setting);
    if (setting === 'device' && (value === 'cpu' || value === 'gpu')) variables[variable] = value;
    if (setting === 'precision' && value === 'float32') variables[variable] = value;
    if (setting === 'gpu' && typeof value === 'string' && value.trim() !== '') variables[variable] = value.trim();
    if (setting === 'runtimeFolder' && typeof value === 'string' && value !== '') variables[variable] = value;
    if ((setting === 'cacheSizeGiB' || setting === 'gpuMemoryGiB' || setting === 'threads') && typeof value === 'number' && Number.isFinite(value) && value > 0) {
      variables[variable] = String(value);
    }
  }
  return variables;
}
