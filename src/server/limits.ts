/** Limits that RunPod documents for its endpoints. */

/** Payload of /run, and of a result that is fetched with /status. */
export const MAX_RUN_BYTES = 10 * 1024 * 1024;
/** Payload of /runsync. */
export const MAX_RUNSYNC_BYTES = 20 * 1024 * 1024;
