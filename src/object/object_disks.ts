/**
 * Volumes made of objects. A raw disk's blocks are taken over as they lie in shelves, so that nothing of it is stored again; a
 * disk image of another program is imported once, and later volumes are clones of that image.
 */
import { idText } from '../catalog/keys.js';
import { isErrorCode, isSkerryError, SkerryError } from '../core/errors.js';
import type { ImportFormat } from '../core/image_formats.js';
import { pause } from '../core/pause.js';
import type { ObjectPlace } from '../core/object_uri.js';
import type { Assemblies, Assembly, VolumeOptions } from '../mapper/assemblies.js';
import { formatOf, format_head_bytes, format_tail_bytes } from '../mapper/formats/detect.js';
import type { Stretch } from '../mapper/splice_plan.js';
import type { Resource, Resources } from '../mapper/resources.js';
import type { Buckets } from './buckets.js';
import type { Objects, OpenObject } from './objects.js';

const look_milliseconds = 50;

export interface ObjectDisksOptions {
  readonly buckets: Pick<Buckets, 'get'>;
  readonly objects: Pick<Objects, 'open'>;
  readonly assemblies: Pick<Assemblies, 'volume' | 'during'>;
  readonly resources: Pick<Resources, 'get' | 'clone' | 'importImage' | 'transfer'>;
}

export class ObjectDisks {
  readonly #options: ObjectDisksOptions;

  constructor(options: ObjectDisksOptions) {
    this.#options = options;
  }

  /**
   * Makes the volume `name`, as large as the object, or as the disk in it.
   * @throws SkerryError invalid for what is no disk, not-found, exists; unsupported for one that only its owner's key opens
   */
  async volume(place: ObjectPlace, name: string, options: VolumeOptions = {}): Promise<Resource> {
    const { buckets, objects, assemblies } = this.#options;
    const uri = `s3://${place.bucket}/${place.key}`;
    const opened = await objects.open(place);
    if (opened.outcome !== 'opened') throw new SkerryError('internal', `${uri} was not opened, and no condition was made`);
    const { object } = opened;
    try {
      const { bytes, attributes } = object.version;
      if (attributes.seal !== undefined)
        throw new SkerryError(
          'unsupported',
          `${uri} is encrypted as an object, so that its blocks are none of a disk: copy it to one that is not, and use that`,
        );
      if (bytes === 0) throw new SkerryError('invalid', `${uri} is empty: no disk can be made of it`);
      const assembly: Assembly = {
        pool: (await buckets.get(place.bucket)).record.pool,
        stretches: await stretchesOf(object),
        read: (offset, length) => object.read(offset, length),
        parentName: uri,
      };
      const format = await formatOfObject(object, uri);
      if (format === 'raw') return await assemblies.volume(name, assembly, options);
      return await this.#ofImage({ object, uri, format, assembly }, name, options);
    } finally {
      object.close();
    }
  }

  /** By way of an image that is named after the object's body, so that no two objects, nor two versions of one, share it. */
  async #ofImage(from: FormattedObject, name: string, options: VolumeOptions): Promise<Resource> {
    const { resources } = this.#options;
    const image = `object-${idText(from.object.id)}`;
    try {
      await resources.get('image', image);
    } catch (error) {
      if (!isSkerryError(error, 'not-found')) throw error;
      await this.#import(from, image);
    }
    return resources.clone(`image/${image}`, name, options);
  }

  async #import({ object, uri, format, assembly }: FormattedObject, image: string): Promise<void> {
    const { assemblies, resources } = this.#options;
    await assemblies.during(assembly, async (resource) => {
      const stored = { resource, bytes: object.version.bytes, name: uri, format };
      const order = { name: image, pool: assembly.pool, description: `the ${format} image ${uri}`.slice(0, 1024), stored };
      let transfer = await resources.importImage(order);
      while (transfer.state === 'running') {
        await pause(look_milliseconds);
        transfer = resources.transfer(transfer.id);
      }
      if (transfer.state === 'done') return;
      const { code, message } = transfer.error ?? { code: 'cancelled', message: `the import of ${uri} was cancelled` };
      throw new SkerryError(isErrorCode(code) ? code : 'internal', message);
    });
  }
}

interface FormattedObject {
  readonly object: OpenObject;
  readonly uri: string;
  readonly format: ImportFormat;
  readonly assembly: Assembly;
}

async function stretchesOf(object: OpenObject): Promise<readonly Stretch[]> {
  const stretches: Stretch[] = [];
  for await (const { shelf, extent, start, bytes } of object.segments())
    stretches.push({ resource: shelf, offset: extent + start, bytes });
  return stretches;
}

async function formatOfObject(object: OpenObject, uri: string): Promise<ImportFormat> {
  const { bytes } = object.version;
  const part = async (offset: number): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    for await (const piece of object.read(offset, Math.min(format_head_bytes, bytes - offset))) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  return formatOf(uri, await part(0), { tail: await part(Math.max(0, bytes - format_tail_bytes)), fileBytes: bytes });
}
