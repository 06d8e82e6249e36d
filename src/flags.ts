/** Switches in the environment. */

/** Whether a variable like VOXPOD_OFFLINE switches something on: set, and neither 0 nor false. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value.toLowerCase() !== 'false';
}
