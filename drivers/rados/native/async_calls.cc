#include "async_calls.h"

namespace skerry_rados {

Napi::Value AsyncCall::Start(std::unique_ptr<AsyncCall> call) {
  Napi::Promise promise = call->promise();
  AsyncCall* raw = call.release();
  rados_completion_t completion = nullptr;
  rados_aio_create_completion2(raw, &OnComplete, &completion);
  // Before it is submitted, for it may have ended before that returns.
  raw->cluster_.Began(completion);
  if (const int error = raw->Submit(raw->cluster_.io(), completion); error < 0)
    Finish(std::unique_ptr<AsyncCall>(raw), completion, error);
  return promise;
}

void AsyncCall::OnComplete(rados_completion_t completion, void* call) {
  Finish(std::unique_ptr<AsyncCall>(static_cast<AsyncCall*>(call)), completion, rados_aio_get_return_value(completion));
}

void AsyncCall::Finish(std::unique_ptr<AsyncCall> call, rados_completion_t completion, int returned) {
  Cluster& cluster = call->cluster_;
  cluster.Ending(completion);
  rados_aio_release(completion);
  call->returned_ = returned;
  End(std::move(call), returned < 0 ? -returned : 0);
  cluster.Ended();
}

int Create::Submit(rados_ioctx_t io, rados_completion_t completion) {
  rados_write_op_t operation = rados_create_write_op();
  rados_write_op_create(operation, LIBRADOS_CREATE_EXCLUSIVE, nullptr);
  if (bytes_ > 0) rados_write_op_write_full(operation, reinterpret_cast<const char*>(data_), bytes_);
  const int error = rados_aio_write_op_operate(operation, io, completion, name().c_str(), nullptr, LIBRADOS_OPERATION_NOFLAG);
  rados_release_write_op(operation);
  return error;
}

}  // namespace skerry_rados
