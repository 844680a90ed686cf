/**
 * The handshake of one NBD connection as a state machine without I/O: it is fed messages of exactly the length it asked
 * for, and says what to send and what to do next. Export look-up takes time, so the machine asks for it and is told.
 */
import { parseInfoRequest, parseMetaContextRequest, parseString } from './option_request.js';
import {
  blockSizeInfo,
  exportInfo,
  exportNameAnswer,
  greeting,
  metaContextReply,
  optionReply,
  serverReply,
  textInfo,
} from './option_reply.js';
import {
  base_allocation_id,
  baseAllocationName,
  baseNamespace,
  client_flags_bytes,
  changed_contexts_max,
  changed_id_first,
  changedPrefix,
  clientFlag,
  exports_listed_max,
  info,
  option,
  option_bytes_max,
  option_header_bytes,
  optionMagic,
  options_per_connection_max,
  reply,
  skerryNamespace,
  transmissionFlag,
} from './protocol.js';

/** A resource as NBD offers it. */
export interface Export {
  /** The resource's id. */
  readonly resource: number;
  /** VOL, or VOL@SNAP. */
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

/** A snapshot of the volume that is exported, or that the exported snapshot is of. */
export interface Since {
  /** What stands behind the @. */
  readonly snapshot: string;
  readonly resource: number;
}

export type LookUp =
  /** `since`: of the snapshots that the step named those that there are. */
  | { readonly outcome: 'found'; readonly exported: Export; readonly since?: readonly Since[] }
  /** There is none, or it cannot be had now; `message` says so to the client's user. */
  | { readonly outcome: 'unknown'; readonly message: string }
  /** There is one, and this client may not have it. */
  | { readonly outcome: 'refused'; readonly message: string }
  | { readonly outcome: 'shutdown' };

/** What the document calls NOTLS, SELECTIVETLS (all exports can be had either way) and FORCEDTLS. */
export type TlsMode = 'off' | 'optional' | 'required';

export type Listing =
  | { readonly outcome: 'listed'; readonly exports: readonly Export[] }
  | { readonly outcome: 'failed'; readonly message: string }
  | { readonly outcome: 'shutdown' };

export type Step =
  /** Send, then hand the next `readBytes` bytes to receive(). */
  | { readonly next: 'read'; readonly send: Uint8Array; readonly readBytes: number }
  /** Send, then serve requests on `resource`. */
  | {
      readonly next: 'transmit';
      readonly send: Uint8Array;
      readonly resource: number;
      readonly readOnly: boolean;
      readonly structuredReplies: boolean;
      /** What the client was told. */
      readonly sizeBytes: number;
      /** The id of base:allocation where it was negotiated for this export, else null. */
      readonly baseAllocationId: number | null;
      /** Contexts skerry:changed:SNAP that were negotiated: the snapshot's resource, and the context's id. */
      readonly changed: readonly { readonly since: number; readonly id: number }[];
    }
  /** Send, then do the TLS handshake, and call secured(). */
  | { readonly next: 'secure'; readonly send: Uint8Array }
  /** Send, then close. */
  | { readonly next: 'close'; readonly send: Uint8Array; readonly why: string }
  /** Find the export, and of its volume's snapshots those of these names, or all; and call found(). */
  | { readonly next: 'look-up'; readonly name: string; readonly snapshots?: readonly string[] | 'all' }
  /** Find all exports, and call listed(). */
  | { readonly next: 'list' };

type State =
  | { readonly at: 'client flags' }
  | { readonly at: 'option header' }
  | { readonly at: 'option data'; readonly option: number; readonly length: number }
  | { readonly at: 'securing' }
  | { readonly at: 'look-up'; readonly resume: (result: LookUp) => Step }
  | { readonly at: 'list'; readonly resume: (result: Listing) => Step }
  | { readonly at: 'end' };

const nothing = new Uint8Array(0);

export class Handshake {
  readonly #tls: TlsMode;
  #secured = false;
  #state: State = { at: 'client flags' };
  #noZeroes = false;
  #structuredReplies = false;
  #options = 0;
  /** The export that contexts were last set for, and which. Each SET_META_CONTEXT replaces it, also one that fails. */
  #contextOf: {
    readonly name: string;
    readonly resource: number;
    readonly base: boolean;
    readonly changed: readonly Since[];
  } | null = null;

  constructor(tls: TlsMode = 'off') {
    this.#tls = tls;
  }

  /** The first step: the greeting. */
  start(): Step {
    return { next: 'read', send: greeting(), readBytes: client_flags_bytes };
  }

  /** The next message, of exactly the length that the last step asked for; any other length closes. */
  receive(message: Uint8Array): Step {
    const state = this.#state;
    switch (state.at) {
      case 'client flags':
        return this.#clientFlags(message);
      case 'option header':
        return this.#optionHeader(message);
      case 'option data':
        if (message.length !== state.length) return this.#close('a message of another length than was asked for');
        return this.#option(state.option, message);
      case 'securing':
      case 'look-up':
      case 'list':
      case 'end':
        return this.#close('a message where none was asked for');
    }
  }

  /** Answers a step with next 'secure'. What was negotiated in the clear may have been anybody's doing: it is forgotten. */
  secured(): Step {
    if (this.#state.at !== 'securing') return this.#close('TLS where none was asked for');
    this.#secured = true;
    this.#structuredReplies = false;
    this.#contextOf = null;
    return this.#nextOption(nothing);
  }

  /** Answers a step with next 'look-up'. */
  found(result: LookUp): Step {
    return this.#state.at === 'look-up' ? this.#state.resume(result) : this.#close('an export where none was asked for');
  }

  /** Answers a step with next 'list'. */
  listed(result: Listing): Step {
    return this.#state.at === 'list' ? this.#state.resume(result) : this.#close('a list where none was asked for');
  }

  #clientFlags(message: Uint8Array): Step {
    if (message.length !== client_flags_bytes) return this.#close('a message of another length than was asked for');
    const flags = viewOf(message).getUint32(0);
    if ((flags & ~(clientFlag.fixedNewstyle | clientFlag.noZeroes)) !== 0)
      return this.#close(`unknown client flags 0x${flags.toString(16)}`);
    this.#noZeroes = (flags & clientFlag.noZeroes) !== 0;
    return this.#nextOption(nothing);
  }

  #optionHeader(message: Uint8Array): Step {
    if (message.length !== option_header_bytes) return this.#close('a message of another length than was asked for');
    const view = viewOf(message);
    if (view.getBigUint64(0) !== optionMagic) return this.#close('an option with a bad magic');
    const code = view.getUint32(8);
    const length = view.getUint32(12);
    this.#options += 1;
    if (this.#options > options_per_connection_max) return this.#close('too many options');
    if (length > option_bytes_max) {
      const words = `an option has at most ${option_bytes_max} bytes, this one ${length}`;
      // EXPORT_NAME has no error replies. For all others: what follows is not read, so the stream cannot go on.
      return this.#close(words, code === option.exportName ? nothing : optionReply(code, reply.tooBig, words));
    }
    if (length === 0) return this.#option(code, nothing);
    this.#state = { at: 'option data', option: code, length };
    return { next: 'read', send: nothing, readBytes: length };
  }

  #option(code: number, data: Uint8Array): Step {
    if (this.#tls === 'required' && !this.#secured && code !== option.startTls && code !== option.abort) {
      const words = 'this server wants TLS: connect with TLS (an nbds:// URI)';
      // EXPORT_NAME has no error replies.
      return code === option.exportName ? this.#close(words) : this.#refuse(code, reply.tlsRequired, words);
    }
    switch (code) {
      case option.exportName:
        return this.#exportName(data);
      case option.abort:
        // Data of an abort is ignored, not judged.
        return this.#close('the client aborted', optionReply(code, reply.ack));
      case option.list:
        return this.#list(code, data);
      case option.startTls:
        return this.#startTls(data);
      case option.info:
      case option.go:
        return this.#infoOrGo(code, data);
      case option.structuredReply:
        if (data.length > 0) return this.#refuse(code, reply.invalid, 'STRUCTURED_REPLY takes no data');
        this.#structuredReplies = true;
        return this.#nextOption(optionReply(code, reply.ack));
      case option.listMetaContext:
      case option.setMetaContext:
        return this.#metaContext(code, data);
      default:
        return this.#refuse(code, reply.unsupported, `option ${code} is not known here`);
    }
  }

  #startTls(data: Uint8Array): Step {
    const code = option.startTls;
    if (data.length > 0) return this.#refuse(code, reply.invalid, 'STARTTLS takes no data');
    if (this.#secured) return this.#refuse(code, reply.invalid, 'this connection has TLS already');
    if (this.#tls === 'off') return this.#refuse(code, reply.policy, 'this server does not offer TLS on this listener');
    this.#state = { at: 'securing' };
    return { next: 'secure', send: optionReply(code, reply.ack) };
  }

  #exportName(data: Uint8Array): Step {
    const name = parseString(data);
    if (name === null) return this.#close('EXPORT_NAME with a name that is no string');
    return this.#lookUp(name, (result) => {
      // This option knows no error reply: the document asks for a disconnect.
      if (result.outcome !== 'found') return this.#close(result.outcome === 'shutdown' ? 'shutting down' : result.message);
      const { exported } = result;
      return this.#transmit(
        name,
        exported,
        exportNameAnswer({ sizeBytes: exported.sizeBytes, flags: this.#flags(exported), zeroes: !this.#noZeroes }),
      );
    });
  }

  #infoOrGo(code: number, data: Uint8Array): Step {
    const request = parseInfoRequest(data);
    if (request === null) return this.#refuse(code, reply.invalid, 'the request is malformed');
    return this.#lookUp(request.name, (result) => {
      if (result.outcome === 'shutdown') return this.#refuse(code, reply.shutdown, 'the server is shutting down');
      if (result.outcome === 'unknown') return this.#refuse(code, reply.unknown, result.message);
      if (result.outcome === 'refused') return this.#refuse(code, reply.policy, result.message);
      const { exported } = result;
      const replies = [exportInfo(code, { sizeBytes: exported.sizeBytes, flags: this.#flags(exported) })];
      if (request.information.has(info.name)) replies.push(textInfo(code, info.name, exported.name));
      if (request.information.has(info.description)) replies.push(textInfo(code, info.description, exported.description));
      if (request.information.has(info.blockSize)) replies.push(blockSizeInfo(code));
      replies.push(optionReply(code, reply.ack));
      const send = Buffer.concat(replies);
      return code === option.go ? this.#transmit(request.name, exported, send) : this.#nextOption(send);
    });
  }

  #list(code: number, data: Uint8Array): Step {
    if (data.length > 0) return this.#refuse(code, reply.invalid, 'LIST takes no data');
    const resume = (result: Listing): Step => {
      if (result.outcome === 'shutdown') return this.#refuse(code, reply.shutdown, 'the server is shutting down');
      if (result.outcome === 'failed') return this.#refuse(code, reply.policy, result.message);
      const { exports } = result;
      if (exports.length > exports_listed_max)
        return this.#refuse(code, reply.tooBig, `there are ${exports.length} exports, too many to list: ask for one by name`);
      return this.#nextOption(
        Buffer.concat([...exports.map((exported) => serverReply(code, exported)), optionReply(code, reply.ack)]),
      );
    };
    this.#state = { at: 'list', resume };
    return { next: 'list' };
  }

  #metaContext(code: number, data: Uint8Array): Step {
    const setting = code === option.setMetaContext;
    if (setting) this.#contextOf = null;
    if (!this.#structuredReplies)
      return this.#refuse(code, reply.invalid, 'metadata contexts need structured replies: negotiate these first');
    const request = parseMetaContextRequest(data);
    if (request === null) return this.#refuse(code, reply.invalid, 'the request is malformed');
    if (request.queries.some((query) => !query.includes(':')))
      return this.#refuse(code, reply.invalid, 'a query begins with a namespace and a colon');
    const { name, queries } = request;
    // A bare namespace is a wildcard of the list only. Other namespaces and other leaves find nothing, and are no error.
    const base = queries.includes(baseAllocationName) || (!setting && (queries.length === 0 || queries.includes(baseNamespace)));
    const named = queries.filter((query) => query.startsWith(changedPrefix) && query !== changedPrefix);
    const all = !setting && (queries.length === 0 || queries.includes(skerryNamespace) || queries.includes(changedPrefix));
    const snapshots = all ? 'all' : [...new Set(named.map((query) => query.slice(changedPrefix.length)))];
    const resume = (result: LookUp): Step => {
      if (result.outcome === 'shutdown') return this.#refuse(code, reply.shutdown, 'the server is shutting down');
      if (result.outcome === 'unknown') return this.#refuse(code, reply.unknown, result.message);
      if (result.outcome === 'refused') return this.#refuse(code, reply.policy, result.message);
      const since = (result.since ?? []).slice(0, setting ? changed_contexts_max : exports_listed_max);
      if (setting && (base || since.length > 0))
        this.#contextOf = { name, resource: result.exported.resource, base, changed: since };
      const contexts = since.map(({ snapshot }, index) =>
        metaContextReply(code, setting ? changed_id_first + index : 0, changedPrefix + snapshot),
      );
      if (base) contexts.unshift(metaContextReply(code, setting ? base_allocation_id : 0, baseAllocationName));
      return this.#nextOption(Buffer.concat([...contexts, optionReply(code, reply.ack)]));
    };
    return this.#lookUp(name, resume, snapshots);
  }

  #flags(exported: Export): number {
    const flag = transmissionFlag;
    const always = flag.hasFlags | flag.sendFlush | flag.sendFua | flag.canMultiConn | flag.sendCache;
    const access = exported.readOnly ? flag.readOnly : flag.sendTrim | flag.sendWriteZeroes | flag.sendFastZero;
    return always | access | (this.#structuredReplies ? flag.sendDf : 0);
  }

  #lookUp(name: string, resume: (result: LookUp) => Step, snapshots: readonly string[] | 'all' = []): Step {
    this.#state = { at: 'look-up', resume };
    return { next: 'look-up', name, ...(snapshots.length === 0 ? {} : { snapshots }) };
  }

  #transmit(name: string, exported: Export, send: Uint8Array): Step {
    this.#state = { at: 'end' };
    // A context counts only for the export it was set for, and a name may meanwhile mean another resource.
    const { resource, sizeBytes, readOnly } = exported;
    const negotiated = this.#contextOf?.name === name && this.#contextOf.resource === resource ? this.#contextOf : null;
    return {
      next: 'transmit',
      send,
      resource,
      readOnly,
      structuredReplies: this.#structuredReplies,
      sizeBytes,
      baseAllocationId: negotiated?.base === true ? base_allocation_id : null,
      changed: (negotiated?.changed ?? []).map((since, index) => ({ since: since.resource, id: changed_id_first + index })),
    };
  }

  #nextOption(send: Uint8Array): Step {
    this.#state = { at: 'option header' };
    return { next: 'read', send, readBytes: option_header_bytes };
  }

  #refuse(code: number, type: number, words: string): Step {
    return this.#nextOption(optionReply(code, type, words));
  }

  #close(why: string, send: Uint8Array = nothing): Step {
    this.#state = { at: 'end' };
    return { next: 'close', send, why };
  }
}

function viewOf(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength);
}
