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
  const problems = parsed.error.issues.map((issue) => {
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
