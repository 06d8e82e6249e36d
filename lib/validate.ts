/**
 * Checks of plain option objects, done once where a caller's values enter the library. Every check
 * returns its value or throws an ArgumentError that names the option, what was expected and what came.
 */
import { ArgumentError, invalidArgument } from './errors.js';

/** Edits (insert, delete, replace) between two strings. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** The candidates that `name` may be a slip of the pen for, nearest first, at most three. */
export function nearest(name: string, candidates: readonly string[]): string[] {
  // A long stranger is nobody's typing error, and the table of distances grows with its length.
  if (name.length > 40) return [];
  const wanted = name.toLowerCase();
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  return candidates
    .map((candidate) => ({ candidate, edits: distance(wanted, candidate.toLowerCase()) }))
    .filter(({ edits }) => edits <= limit)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** " Did you mean X or Y?", or nothing. */
export function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? '' : ` Did you mean ${names.join(' or ')}?`;
}

/** A plain object whose keys are all among `known`; undefined counts as empty. */
export function checkOptions(
  name: string,
  value: unknown,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument(name, 'an object', value);
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const shown = JSON.stringify(key.slice(0, 60));
    const hint = didYouMean(nearest(key, known)) || ` It may have ${known.join(', ')}.`;
    throw new ArgumentError('INVALID_ARGUMENT', `Unknown option ${shown} in ${name}.${hint}`);
  }
  return { ...value };
}

interface NumberRule {
  min?: number;
  max?: number;
  integer?: boolean;
}

/** A finite number within the rule's bounds. */
export function checkNumber(name: string, value: unknown, rule: NumberRule = {}): number {
  const { min = -Infinity, max = Infinity, integer = false } = rule;
  const kind = integer ? 'an integer' : 'a number';
  const right =
    typeof value === 'number' && (integer ? Number.isInteger(value) : Number.isFinite(value));
  if (right && value >= min && value <= max) return value;
  let expected = kind;
  if (min > -Infinity && max < Infinity) expected += ` between ${min} and ${max}`;
  else if (min > -Infinity) expected += ` of at least ${min}`;
  else if (max < Infinity) expected += ` of at most ${max}`;
  throw invalidArgument(name, expected, value);
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw invalidArgument(name, 'true or false', value);
}

export function checkString(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== 'string') throw invalidArgument(name, 'a string', value);
  if (value.length > maxLength) {
    throw invalidArgument(name, `at most ${maxLength} characters`, `${value.length} characters`);
  }
  return value;
}

export function checkOneOf<T extends string>(
  name: string,
  value: unknown,
  allowed: readonly T[],
): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw invalidArgument(name, `one of ${allowed.join(', ')}`, value);
}

export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw invalidArgument(name, 'an AbortSignal', value);
}

/** A function; what it takes is the type's promise, which cannot be checked here. */
export function checkFunction<T extends (...args: never[]) => void>(
  name: string,
  value: T | undefined,
): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw invalidArgument(name, 'a function', value);
}
