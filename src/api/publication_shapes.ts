/** What travels about buckets that show resources as objects. */
import { z } from 'zod';
import { nameText } from './fields.js';
import { goneView } from './identity_shapes.js';

/** `volume`: its snapshots are shown, in `volume-NAME` unless a bucket is named; else images are, in `images`. */
export const createPublicationRequest = z.strictObject({
  account: nameText,
  volume: nameText.exactOptional(),
  bucket: nameText.exactOptional(),
  pool: nameText.exactOptional().describe('Of the images.'),
});
export type CreatePublicationRequest = z.infer<typeof createPublicationRequest>;

export const publicationView = z.strictObject({
  bucket: z.string(),
  account: z.string().describe('Whose bucket it is; its id in digits where the account is gone.'),
  shows: z.enum(['snapshots', 'images']),
  volume: z.string().nullable().describe('Whose snapshots are shown, by its name now.'),
  pool: z.string().describe('Only what is in it is shown.'),
  ending: z.boolean().describe('It is being taken back.'),
});
export type PublicationView = z.infer<typeof publicationView>;

/** Part of `shapes`, in a file of its own. */
export const publicationShapes = {
  publicationList: { answer: z.strictObject({ publications: z.array(publicationView) }) },
  publicationCreate: { body: createPublicationRequest, answer: publicationView },
  publicationDelete: { params: z.strictObject({ bucket: nameText }), answer: goneView },
} as const;
