/** The model that a job names. */
import { JobError } from '../../lib/errors.js';
import { catalogueEntry, modelNames } from '../models/catalogue.js';

const KINDS = {
  whisper: { job: 'transcription', verb: 'transcribe' },
  'f5-tts': { job: 'speech', verb: 'speak' },
} as const;

/**
 * What the pool is asked for when a job names this model.
 * @param models those beside the catalogue's, or in their place: by what a job calls them.
 * @throws JobError MODEL_UNKNOWN, MODEL_UNSUPPORTED
 */
export function jobModel(
  name: string,
  family: keyof typeof KINDS,
  models: ReadonlyMap<string, string> = new Map(),
): string {
  const entry = catalogueEntry(name);
  const source = models.get(name) ?? (entry && (models.get(entry.name) ?? entry.name));
  const { job, verb } = KINDS[family];
  const known = [...new Set([...models.keys(), ...modelNames(family)])].join(', ');
  if (source === undefined) {
    throw new JobError(
      'MODEL_UNKNOWN',
      `There is no model ${JSON.stringify(name)}. A ${job} job may name: ${known}`,
    );
  }
  if (!models.has(name) && entry?.family !== family) {
    throw new JobError(
      'MODEL_UNSUPPORTED',
      `This version cannot ${verb} with ${name}. A ${job} job may name: ${known}`,
    );
  }
  return source;
}
