#include "addon_check.h"

#include <functional>

#include "addon_values.h"
#include "check/journal_survey.h"
#include "check/pool_check.h"

namespace skerry::addon {
namespace {

Napi::Array FromTexts(Napi::Env env, const std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env);
  for (const std::string& text : texts) array.Set(array.Length(), text);
  return array;
}

/** Does its work on a pool thread, and settles a promise with what it found. */
template <typename Found>
class Survey : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result<Found>(::skerry::Env&)>;
  using Finish = Napi::Object (*)(Napi::Env, const Found&);

  static Napi::Value Start(Napi::Env env, Work work, Finish finish) {
    auto* survey = new Survey(env, std::move(work), finish);  // the worker deletes itself when it has told
    const Napi::Promise promise = survey->deferred_.Promise();
    survey->Queue();
    return promise;
  }

  void Execute() override {
    const std::unique_ptr<::skerry::Env> system = MakePosixEnv();
    found_ = work_(*system);
  }
  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (found_.ok()) {
      deferred_.Resolve(finish_(Env(), *found_));
    } else {
      deferred_.Reject(ToError(Env(), found_.status()).Value());
    }
  }

 private:
  Survey(Napi::Env env, Work work, Finish finish)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), finish_(finish) {}

  Napi::Promise::Deferred deferred_;
  const Work work_;
  const Finish finish_;
  Result<Found> found_ = Status(Code::kClosed, "it did not run");
};

Napi::Object FromJournal(Napi::Env env, const JournalSurvey& survey) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("present", survey.present);
  object.Set("ringName", survey.ring_name);
  Napi::Array resources = Napi::Array::New(env);
  for (const auto& [id, found] : survey.resources) {
    Napi::Object one = Napi::Object::New(env);
    Set(one, "id", id);
    Set(one, "records", found.records);
    Set(one, "firstSequence", found.first_sequence);
    Set(one, "lastSequence", found.last_sequence);
    Set(one, "fence", found.fence);
    Set(one, "endBytes", found.end_bytes);
    one.Set("dropped", found.dropped);
    resources.Set(resources.Length(), one);
  }
  object.Set("resources", resources);
  Napi::Array barriers = Napi::Array::New(env);
  for (const JournalSurvey::Barrier& barrier : survey.barriers) {
    Napi::Object one = Napi::Object::New(env);
    Set(one, "volume", barrier.volume);
    Set(one, "snapshot", barrier.snapshot);
    Set(one, "sequence", barrier.sequence);
    Set(one, "sizeBytes", barrier.size_bytes);
    barriers.Set(barriers.Length(), one);
  }
  object.Set("barriers", barriers);
  Set(object, "records", survey.report.records);
  Set(object, "ringRecords", survey.report.ring_records);
  object.Set("ringUsed", survey.report.ring_used);
  Set(object, "segments", survey.report.segments);
  object.Set("notes", FromTexts(env, survey.report.notes));
  return object;
}

const char* NameOf(Finding::What what) {
  switch (what) {
    case Finding::What::kPack: return "pack";
    case Finding::What::kFooter: return "footer";
    case Finding::What::kIndex: return "index";
    case Finding::What::kRecord: return "record";
    case Finding::What::kNode: return "node";
    case Finding::What::kBlock: return "block";
  }
  return "pack";
}

}  // namespace

Napi::Object FromFinding(Napi::Env env, const Finding& finding) {
  Napi::Object one = Napi::Object::New(env);
  one.Set("what", NameOf(finding.what));
  one.Set("missing", finding.missing);
  Set(one, "pack", finding.pack);
  Set(one, "offset", finding.offset);
  Set(one, "resource", finding.resource);
  Set(one, "volumeOffset", finding.volume_offset);
  one.Set("id", finding.id.empty() ? std::string() : HexOf(finding.id));
  one.Set("detail", finding.detail);
  return one;
}

namespace {

Napi::Object FromCheck(Napi::Env env, const PoolCheckReport& report) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "packs", report.packs);
  Set(object, "openPacks", report.open_packs);
  Set(object, "blocks", report.blocks);
  Set(object, "nodes", report.nodes);
  Set(object, "bytes", report.bytes);
  Set(object, "recordsRead", report.records_read);
  Set(object, "nodesReached", report.nodes_reached);
  Set(object, "blocksReached", report.blocks_reached);
  object.Set("indexCompared", report.index_compared);
  Napi::Array findings = Napi::Array::New(env);
  for (const Finding& finding : report.findings) findings.Set(findings.Length(), FromFinding(env, finding));
  object.Set("findings", findings);
  Set(object, "findingsTotal", report.findings_total);
  Napi::Array damaged = Napi::Array::New(env);
  for (const uint64_t id : report.damaged_roots) damaged.Set(damaged.Length(), static_cast<double>(id));
  object.Set("damagedRoots", damaged);
  object.Set("notes", FromTexts(env, report.notes));
  return object;
}

Napi::Value SurveyJournalOf(const Napi::CallbackInfo& info) {
  std::vector<std::string> rings;
  const Napi::Array names = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) rings.push_back(names.Get(i).ToString().Utf8Value());
  return Survey<JournalSurvey>::Start(
      info.Env(),
      [directory = info[0].ToString().Utf8Value(), rings = std::move(rings)](::skerry::Env& system) {
        return SurveyJournal(system, directory, rings);
      },
      FromJournal);
}

Napi::Value CheckPoolOf(const Napi::CallbackInfo& info) {
  const Napi::Object given = info[0].As<Napi::Object>();
  const Napi::Uint8Array key = given.Get("domainKey").As<Napi::Uint8Array>();
  PoolCheckOptions options;
  options.directory = Text(given, "directory");
  options.checkpoint = Text(given, "checkpoint");
  options.domain = Whole(given, "domain");
  options.domain_key.assign(key.Data(), key.Data() + key.ByteLength());
  if (const Napi::Value data_key = given.Get("dataKey"); data_key.IsTypedArray()) {
    const Napi::Uint8Array bytes = data_key.As<Napi::Uint8Array>();
    options.cipher.emplace(ConstBytes(bytes.Data(), bytes.ByteLength()));
  }
  const std::string content = Text(given, "content");
  options.content = content == "hashes" ? Content::kHashes : content == "sums" ? Content::kSums : Content::kNone;
  const Napi::Array roots = given.Get("roots").As<Napi::Array>();
  for (uint32_t i = 0; i < roots.Length(); ++i) {
    const Napi::Object one = roots.Get(i).As<Napi::Object>();
    options.roots.push_back({Whole(one, "resource"), ToRoot(one)});
  }
  return Survey<PoolCheckReport>::Start(
      info.Env(),
      [options = std::move(options)](::skerry::Env& system) { return CheckPool(system, options); }, FromCheck);
}

Napi::Value BlockIdOf(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array key = info[0].As<Napi::Uint8Array>(), data = info[1].As<Napi::Uint8Array>();
  if (data.ByteLength() == 0 || data.ByteLength() % kPageBytes != 0 || key.ByteLength() != 32) {
    ToError(info.Env(), Status(Code::kInvalid, "a key of 32 bytes and whole pages are wanted")).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const DomainKey domain_key(ConstBytes(key.Data(), key.ByteLength()));
  return Napi::String::New(info.Env(), HexOf(domain_key.BlockIdOf(ConstBytes(data.Data(), data.ByteLength()))));
}

}  // namespace

void DefineChecks(Napi::Env env, Napi::Object& exports) {
  exports.Set("surveyJournal", Napi::Function::New(env, SurveyJournalOf));
  exports.Set("blockId", Napi::Function::New(env, BlockIdOf));
  exports.Set("checkPool", Napi::Function::New(env, CheckPoolOf));
}

}  // namespace skerry::addon
