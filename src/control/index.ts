/** What `import ... from 'skerry/control'` gives: docs/how_to/control.md shows how it is used. */
export { connect } from './client.js';
export type { Client, ConnectOptions } from './client.js';
export { defaultDataDirectory } from './endpoint.js';
export { ratesBetween } from './rates.js';
export type { OperationRates, Rates, ResourceRates } from './rates.js';
export { SkerryError } from '../core/errors.js';
export type { ErrorCode } from '../core/errors.js';
export type { IdentityClient } from './identity_client.js';
export type {
  AccountView,
  ActivityView,
  ChangeKeyRequest,
  CloneRequest,
  CollectionView,
  CollectRequest,
  CreateAccountRequest,
  CreatePoolRequest,
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeletedView,
  DifferenceView,
  EstimateReadRequest,
  EstimateRequest,
  EstimateView,
  ExportRequest,
  GoneView,
  ImportRequest,
  KeyView,
  MoveView,
  NewKeyView,
  OneSpaceView,
  PoolSpaceView,
  PoolView,
  QuotaView,
  ReplicationRequest,
  ReplicationView,
  ResizeRequest,
  ResourceSpaceView,
  ResourceView,
  ScrubView,
  SetAccountRequest,
  SetQuotaRequest,
  SetRequest,
  SpaceView,
  StatusView,
  TransferView,
  UriView,
  UsageView,
  UserView,
} from '../api/shapes.js';
