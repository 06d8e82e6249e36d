/** What `voxpod doctor` finds: each thing is well, or says what to do. */

/** "note": nothing is wrong, but something could be had; it does not fail the doctor. */
export type FindingState = 'ok' | 'note' | 'bad';

export interface Finding {
  name: string;
  state: FindingState;
  /** One line: the fact, and what to do where the state is not ok. */
  detail: string;
}

/** One thing to look at. What it throws is a bad finding. */
export interface Check {
  name: string;
  run(signal: AbortSignal): Omit<Finding, 'name'> | Promise<Omit<Finding, 'name'>>;
}

export function ok(detail: string): Omit<Finding, 'name'> {
  return { state: 'ok', detail };
}

export function note(detail: string): Omit<Finding, 'name'> {
  return { state: 'note', detail };
}

export function bad(detail: string): Omit<Finding, 'name'> {
  return { state: 'bad', detail };
}
