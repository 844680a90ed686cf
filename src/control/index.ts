/** What `import ... from 'skerry/control'` gives: docs/how_to/control.md shows how it is used. */
export { connect } from './client.js';
export type { Client, ConnectOptions } from './client.js';
export { defaultDataDirectory } from './endpoint.js';
export { ratesBetween } from './rates.js';
export type { OperationRates, Rates, ResourceRates } from './rates.js';
export { SkerryError } from '../core/errors.js';
export type { ErrorCode } from '../core/errors.js';
export type {
  ActivityView,
  ChangeKeyRequest,
  CloneRequest,
  CollectionView,
  CollectRequest,
  CreatePoolRequest,
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeletedView,
  DifferenceView,
  EstimateReadRequest,
  EstimateRequest,
  EstimateView,
  ExportRequest,
  ImportRequest,
  MoveView,
  OneSpaceView,
  PoolSpaceView,
  PoolView,
  ReplicationRequest,
  ReplicationView,
  ResizeRequest,
  ResourceSpaceView,
  ResourceView,
  ScrubView,
  SetRequest,
  SpaceView,
  StatusView,
  TransferView,
  UriView,
} from '../api/shapes.js';
