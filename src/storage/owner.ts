/** Who works on something that others can see, and whether that process still lives. */
import { createHash } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

export interface Owner {
  /** Names the machine and process namespace within which `pid` means something. */
  machine: string;
  pid: number;
  /** Start time of the process, which tells it from a later one with its number. */
  started: string;
}

/** How long an owner that cannot be looked at is believed to live after its last touch. */
export const UNSEEN_OWNER_MS = 10 * 60_000;

let ownSelf: Promise<Owner> | undefined;

/** This process. */
export function self(): Promise<Owner> {
  ownSelf ??= (async () => {
    // Containers on one machine share the boot id and often the host name, but not this namespace.
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => hostname());
    const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
    const hash = createHash('sha256').update(`${boot.trim()} ${namespace}`);
    const machine = hash.digest('hex').slice(0, 16);
    return { machine, pid: process.pid, started: (await look(process.pid)).started };
  })();
  return ownSelf;
}

/** Whether the owner's process runs; undefined where only its touches can tell: on another machine. */
export async function isAlive(owner: Owner | undefined): Promise<boolean | undefined> {
  if (owner?.machine !== (await self()).machine) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // It has that number, and is somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const { started, ended } = await look(owner.pid);
  return !ended && started === owner.started;
}

/** Whether the owner is known to be dead, or silent for so long that it is taken for dead. */
export async function isDead(owner: Owner | undefined, touchedMs: number): Promise<boolean> {
  const alive = await isAlive(owner);
  return alive === undefined ? Date.now() - touchedMs >= UNSEEN_OWNER_MS : !alive;
}

/**
 * Clock ticks since boot at which a process started ("" without /proc), and whether it ended and its
 * parent has not asked for its status yet. Fields 22, 3 and 20 of proc(5).
 */
async function look(pid: number): Promise<{ started: string; ended: boolean }> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A main thread can be over before its siblings are, and those still hold the files.
  return { started: fields[19] ?? '', ended: fields[0] === 'Z' && Number(fields[17]) <= 1 };
}
