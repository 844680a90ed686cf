/** Images are objects where somebody says whose; of `unowned` an operator is told what to do. */
import type { ImageObjectOrder, ImageObjectPlan, ImageObjects } from '../../../../src/object/image_objects.js';

export class FakeImageObjects implements Pick<ImageObjects, 'plan'> {
  async plan({ account, bucket = 'images', name }: ImageObjectOrder): Promise<ImageObjectPlan> {
    if (account === undefined) return { place: null, why: name === 'unowned' ? 'there are several accounts' : null };
    return { place: { bucket, key: name }, also: () => [] };
  }
}
