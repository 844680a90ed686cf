/** Carries roots by changing their names: what `a...` is in one pool is `a...!` in the other, here a digit further. In two steps each. */
import type { ResourceRecord, RootRecord } from '../../../src/catalog/records.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { Carriage, CarryOrder, CarryStep } from '../../../src/upkeep/carriage.js';

export class FakeCarriage implements Carriage {
  readonly steps: string[] = [];
  /** Failures of the calls to come. */
  readonly failures: Error[] = [];
  /** Roots of the old pool, by textOf, that nothing there has any more. */
  readonly gone = new Set<string>();
  /** Of the volume's last record, as it is switched. */
  sequence = 0;
  /** Called in the middle of each copy. */
  between: () => Promise<void> = async () => {};
  /** Called once a resource is held. */
  whenHeld: () => Promise<void> = async () => {};

  async carry(order: CarryOrder, signal: AbortSignal, onStep: (step: CarryStep) => Promise<void>): Promise<void> {
    const failure = this.failures.shift();
    this.steps.push(`carry ${textOf(order.from)}-${textOf(order.to)} on ${textOf(order.target)} at ${order.next}`);
    if (failure !== undefined) throw failure;
    if ([order.from, order.to].some((root) => this.gone.has(textOf(root))))
      throw new SkerryError('not-found', `nothing in pool ${order.pool} has this root any more`);
    const counts = { carriedBytes: 50 << 20, putBytes: 1000, lostPages: 0 };
    if (order.next === 0) {
      await onStep({ target: half(order.to), next: 100, done: false, ...counts });
      await this.between();
      signal.throwIfAborted();
    }
    await onStep({ target: there(order.to), next: 200, done: true, ...counts });
  }

  async renewRoot(id: number): Promise<void> {
    this.steps.push(`renew ${id}`);
  }

  async hold(id: number, toPool: string): Promise<void> {
    this.steps.push(`hold ${id} for ${toPool}`);
    await this.whenHeld();
  }

  async release(id: number): Promise<void> {
    this.steps.push(`release ${id}`);
  }

  async expect({ id, root }: Pick<ResourceRecord, 'id' | 'root'>): Promise<void> {
    this.steps.push(`expect ${id} as ${textOf(root)}`);
  }

  async switch(id: number, logFence?: number): Promise<number> {
    this.steps.push(`switch ${id}${logFence === undefined ? '' : ` with ${logFence}`}`);
    return this.sequence;
  }

  async forget(): Promise<void> {}
}

/** As the other pool names the whole of it, and the half. */
export function there(root: RootRecord): RootRecord {
  return root.id.length === 0 ? root : { ...root, id: root.id.map((byte) => byte + 1) };
}
function half(root: RootRecord): RootRecord {
  return root.id.length === 0 ? root : { ...root, id: root.id.map((byte) => byte + 2) };
}

/** Its first digits, `-` for an empty tree. */
export function textOf(root: RootRecord): string {
  return root.id.length === 0 ? 'none' : Buffer.from(root.id).toString('hex').slice(0, 2);
}
