/**
 * What `import ... from 'voxpod/schema'` gives: the jobs' inputs and outputs as JSON Schema (draft
 * 2020-12), for clients that check or build them. Nothing native is loaded here.
 */
import { z } from 'zod';
import { speechOutputSchema, speechSchema } from './speech_schema.js';
import { transcriptionOutputSchema, transcriptionSchema } from './transcription_schema.js';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** `io: 'input'`: a field with a default need not be sent. */
const inputOf = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema, { io: 'input' });

export const transcriptionInput = inputOf(transcriptionSchema);
export const transcriptionOutput = inputOf(transcriptionOutputSchema);
export const speechInput = inputOf(speechSchema);
export const speechOutput = inputOf(speechOutputSchema);
