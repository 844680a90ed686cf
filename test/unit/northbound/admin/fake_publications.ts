/** Buckets that show resources as objects, of which nothing is in them. */
import { SkerryError } from '../../../../src/core/errors.js';
import type { PublicationSource } from '../../../../src/northbound/admin/publications.js';
import type { PublicationOrder, PublicationView } from '../../../../src/object/publications.js';

export class FakePublications implements PublicationSource {
  readonly #found = new Map<string, PublicationView>();

  async create({ account, volume, bucket, pool = 'default' }: PublicationOrder): Promise<PublicationView> {
    const name = bucket ?? (volume === undefined ? 'images' : `volume-${volume}`);
    if (this.#found.has(name)) throw new SkerryError('exists', `something is published in bucket ${name} already`);
    const ofVolume = { volume: volume === undefined ? 0 : 7, volumeName: volume ?? null };
    const made = { bucket: name, account, pool, ending: false, ...ofVolume };
    this.#found.set(name, made);
    return made;
  }

  async list(): Promise<readonly PublicationView[]> {
    return [...this.#found.values()];
  }

  async remove(bucket: string): Promise<void> {
    if (!this.#found.delete(bucket)) throw new SkerryError('not-found', `nothing is published in a bucket ${bucket}`);
  }
}
