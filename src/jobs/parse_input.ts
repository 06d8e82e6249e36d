/** Checks a job's input against its schema, and says in one message everything that is wrong. */
import type { z } from 'zod';
import { JobError } from '../../lib/errors.js';

/** @throws JobError JOB_INVALID that names every wrong or unknown option. */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap(ofItsKind).map((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return `unknown option ${issue.keys.map((key) => JSON.stringify(key.slice(0, 100))).join(', ')}`;
    }
    const path = issue.path.map(String).join('.');
    return path === '' || issue.message.startsWith(path)
      ? issue.message
      : `${path}: ${issue.message}`;
  });
  throw new JobError(
    'JOB_INVALID',
    `The job's input is wrong: ${[...new Set(problems)].join('; ')}`,
  );
}

type Issue = z.core.$ZodIssue;

/** What is wrong with a value of several possible kinds: with the kind that it is meant to be. */
function ofItsKind(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const isAnother = ({ code, path }: Issue): boolean =>
    path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
  const meant = issue.errors.find((issues) => !issues.some(isAnother));
  if (meant !== undefined) {
    return meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  const kinds = issue.errors.flat().map(({ message }) => message.replace(/^Invalid input: /, ''));
  return [{ ...issue, message: `Invalid input: ${kinds.join(', or ')}` }];
}
