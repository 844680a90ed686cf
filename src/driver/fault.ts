/**
 * Fails on purpose, for tests and drills: by script (the next put under `root/` fails) or by chance from a seed, so that
 * a run can be repeated. A fault strikes before the call, or after it, as an answer that got lost.
 */
import { setTimeout as sleepFor } from 'node:timers/promises';

import { SkerryError, type ErrorCode } from '../core/errors.js';
import type { ChunkStat, Driver } from './driver.js';
import { intercept, type Operation, type Verb } from './filter.js';

export interface FaultRule {
  /** Any verb where absent. */
  readonly verb?: Verb;
  readonly keyPrefix?: string;
  /**
   * before: the call is not made and fails. after: it is made, and fails all the same. delay: it is made late.
   * corrupt: it succeeds, and one bit of what it read is wrong.
   */
  readonly fault: 'before' | 'after' | 'delay' | 'corrupt';
  /** Of the failure; io where absent. */
  readonly code?: ErrorCode;
  readonly delayMilliseconds?: number;
  /** Calls that match and pass before the rule begins to strike. */
  readonly skip?: number;
  /** How often it strikes; for ever where absent. */
  readonly times?: number;
  /** Strikes with this probability, decided by the seed; always where absent. */
  readonly chance?: number;
}

export interface FaultDriver extends Driver {
  /** Adds a rule; the first that matches a call and strikes decides. Returns what takes it away again. */
  inject(rule: FaultRule): () => void;
  /** Faults so far. */
  readonly struck: number;
}

export function withFault(
  driver: Driver,
  options: { readonly seed: number; readonly rules?: readonly FaultRule[] },
): FaultDriver {
  const random = mulberry32(options.seed);
  const rules: { readonly rule: FaultRule; passed: number; struck: number }[] = [];
  let struck = 0;

  const inject = (rule: FaultRule): (() => void) => {
    const entry = { rule, passed: 0, struck: 0 };
    rules.push(entry);
    return () => {
      const index = rules.indexOf(entry);
      if (index >= 0) rules.splice(index, 1);
    };
  };
  for (const rule of options.rules ?? []) inject(rule);

  const choose = (operation: Operation): FaultRule | null => {
    for (const entry of rules) {
      const { rule } = entry;
      if (rule.verb !== undefined && rule.verb !== operation.verb) continue;
      if (rule.keyPrefix !== undefined && !operation.key.startsWith(rule.keyPrefix)) continue;
      if (entry.struck >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (entry.passed < (rule.skip ?? 0)) {
        entry.passed += 1;
        continue;
      }
      if (rule.chance !== undefined && random() >= rule.chance) continue;
      entry.struck += 1;
      struck += 1;
      return rule;
    }
    return null;
  };
  const failure = (rule: FaultRule, operation: Operation): SkerryError =>
    new SkerryError(rule.code ?? 'io', `injected fault: ${operation.verb} of ${operation.key} failed ${rule.fault} the call`);

  const filtered = intercept(driver, {
    async call(operation, run) {
      const rule = choose(operation);
      if (rule === null) return run();
      if (rule.fault === 'before') throw failure(rule, operation);
      if (rule.fault === 'delay') await sleepFor(rule.delayMilliseconds ?? 0);
      const result = await run();
      if (rule.fault === 'after') throw failure(rule, operation);
      if (rule.fault === 'corrupt' && typeof result === 'number' && result > 0 && operation.into !== undefined) {
        const position = Math.floor(random() * result);
        operation.into[position] = (operation.into[position] ?? 0) ^ (1 << Math.floor(random() * 8));
      }
      return result;
    },
    async *list(operation, start): AsyncGenerator<ChunkStat> {
      const rule = choose(operation);
      if (rule?.fault === 'before') throw failure(rule, operation);
      if (rule?.fault === 'delay') await sleepFor(rule.delayMilliseconds ?? 0);
      let yielded = 0;
      for await (const stat of start()) {
        // A listing that breaks off has given something first.
        if (rule?.fault === 'after' && yielded > 0) throw failure(rule, operation);
        yielded += 1;
        yield stat;
      }
      if (rule?.fault === 'after') throw failure(rule, operation);
    },
  });
  return Object.defineProperty({ ...filtered, inject, struck: 0 }, 'struck', { get: () => struck, enumerable: true });
}

/** A small generator with 32 bits of state; good enough to choose faults, and the same everywhere. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
