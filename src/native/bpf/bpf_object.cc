// Opens, loads and reads the compiled carp.bpf.c with libbpf; bpf_object.h has its interface.

#include "bpf/bpf_object.h"

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/arguments.h"
#include "bpf/bpf_layout.h"
#include "support/descriptor.h"
#include "bpf/tcx.h"

// The bytes of the compiled carp.bpf.c, between two symbols.
asm(".section .rodata\n"
    ".balign 8\n"
    "carpBpfBegin: .incbin \"carp.bpf.o\"\n"
    "carpBpfEnd:\n"
    ".previous\n");
extern "C" __attribute__((visibility("hidden"))) const uint8_t carpBpfBegin[], carpBpfEnd[];

namespace carp {
namespace {

// The end of libbpf's and the verifier's output since the last failed call; the reason stands there.
std::string output;

int keepOutput(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  constexpr size_t kKept = 8192;
  char line[4096];
  const int length = vsnprintf(line, sizeof line, format, arguments);
  output += line;
  if (output.size() > kKept) output.erase(0, output.size() - kKept);
  return length;
}

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

Object openObject() {
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "carp");
  return Object(bpf_object__open_mem(carpBpfBegin, static_cast<size_t>(carpBpfEnd - carpBpfBegin), &options));
}

Napi::Value failure(Napi::Env env, const char* call, int error) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("call", call);
  result.Set("error", Napi::Number::New(env, error));
  result.Set("log", output);
  output.clear();
  return result;
}

Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

std::string text(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }

Napi::Value copy(Napi::Env env, const void* bytes, size_t length) {
  auto result = Napi::Uint8Array::New(env, length);
  std::memcpy(result.Data(), bytes, length);
  return result;
}

class BpfObject : public Napi::ObjectWrap<BpfObject> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("BpfObject", DefineClass(env, "BpfObject",
                                         {
                                             InstanceMethod<&BpfObject::load>("load"),
                                             InstanceMethod<&BpfObject::adopted>("adopted"),
                                             InstanceMethod<&BpfObject::share>("share"),
                                             InstanceMethod<&BpfObject::read>("read"),
                                             InstanceMethod<&BpfObject::write>("write"),
                                             InstanceMethod<&BpfObject::memory>("memory"),
                                             InstanceMethod<&BpfObject::storeUs>("storeUs"),
                                             InstanceMethod<&BpfObject::storeShort>("storeShort"),
                                             InstanceMethod<&BpfObject::update>("update"),
                                             InstanceMethod<&BpfObject::remove>("remove"),
                                             InstanceMethod<&BpfObject::lookup>("lookup"),
                                             InstanceMethod<&BpfObject::entries>("entries"),
                                             InstanceMethod<&BpfObject::attach>("attach"),
                                             InstanceMethod<&BpfObject::detach>("detach"),
                                             InstanceMethod<&BpfObject::programId>("programId"),
                                             InstanceMethod<&BpfObject::attachTcx>("attachTcx"),
                                             InstanceMethod<&BpfObject::run>("run"),
                                             InstanceMethod<&BpfObject::close>("close"),
                                         }));
  }

  explicit BpfObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BpfObject>(info) {}
  ~BpfObject() override { release(); }

 private:
  // load(former): undefined or a failure. Each of `former` is the id of an earlier engine's program and the names of
  // the maps to take over from it; the first program that exists and has them all gives them.
  Napi::Value load(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::list})) return {};
    const Napi::Env env = info.Env();
    std::vector<std::pair<uint32_t, std::vector<std::string>>> former;
    if (!formerIn(info[0].As<Napi::Array>(), former)) return {};
    release();
    // Reads a file: later there may be no descriptor for it.
    const int processors = libbpf_num_possible_cpus();
    if (processors < 0) return failure(env, "libbpf_num_possible_cpus", -processors);
    processors_ = static_cast<size_t>(processors);
    object_ = openObject();
    if (!object_) return failure(env, "bpf_object__open", errno);
    for (const auto& [id, maps] : former) {
      if (!adopt(id, maps)) continue;
      adopted_ = id;
      break;
    }
    makeVariables();
    const int error = bpf_object__load(object_.get());
    if (error == 0) {
      bindMaps();
      return env.Undefined();
    }
    release();
    return failure(env, "bpf_object__load", -error);
  }

  // Makes the map of the programs' global variables, unless it is taken over. libbpf would write it with zeros once more,
  // all at once, and older kernels (before 5.15) need memory in one piece for that, which a host that has run for long
  // may not have.
  void makeVariables() const {
    bpf_map* const map = bpf_object__find_map_by_name(object_.get(), "carp.bss");
    if (map == nullptr || bpf_map__fd(map) >= 0) return;
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));
    const Descriptor made(bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
                                         bpf_map__value_size(map), bpf_map__max_entries(map), &options));
    // Where this fails, load() does as well, and says why.
    if (made.open()) bpf_map__reuse_fd(map, made.get());
  }

  // adopted(): the id of the program that load() took maps over from; 0: none
  Napi::Value adopted(const Napi::CallbackInfo& info) { return number(info.Env(), adopted_); }

  // Whether every element is the id of a program and a list of names.
  static bool formerIn(const Napi::Array& list, std::vector<std::pair<uint32_t, std::vector<std::string>>>& former) {
    for (uint32_t i = 0; i < list.Length(); i++) {
      const Napi::Value element = list.Get(i);
      if (!takes(element, Argument::list, "a program of an earlier engine")) return false;
      const Napi::Value id = element.As<Napi::Array>().Get(0u);
      if (!takes(id, Argument::uint32, "the id of a program")) return false;
      const Napi::Value maps = element.As<Napi::Array>().Get(1u);
      if (!takes(maps, Argument::list, "the maps of a program")) return false;
      std::vector<std::string> names;
      for (uint32_t at = 0; at < maps.As<Napi::Array>().Length(); at++) {
        const Napi::Value name = maps.As<Napi::Array>().Get(at);
        if (!takes(name, Argument::text, "the name of a map")) return false;
        names.push_back(text(name));
      }
      former.emplace_back(id.As<Napi::Number>().Uint32Value(), std::move(names));
    }
    return true;
  }

  // Keeps every map alive as long as a program is attached, unused maps too: the next engine finds
  // them by the programs.
  void bindMaps() const {
    bpf_program* program;
    const bpf_map* map;
    bpf_object__for_each_program(program, object_.get())
      bpf_object__for_each_map(map, object_.get())
        bpf_prog_bind_map(bpf_program__fd(program), bpf_map__fd(map), nullptr);
  }

  // Takes over maps of a program of an earlier engine.
  bool adopt(uint32_t id, const std::vector<std::string>& names) {
    const Descriptor program(bpf_prog_get_fd_by_id(id));
    if (!program.open()) return false;
    std::vector<uint32_t> ids(64);
    bpf_prog_info found{};
    found.nr_map_ids = static_cast<uint32_t>(ids.size());
    found.map_ids = reinterpret_cast<uint64_t>(ids.data());
    uint32_t length = sizeof found;
    if (bpf_obj_get_info_by_fd(program.get(), &found, &length) != 0) return false;
    ids.resize(std::min<size_t>(found.nr_map_ids, ids.size()));
    std::vector<std::pair<bpf_map*, Descriptor>> matching;
    for (const uint32_t each : ids) {
      Descriptor descriptor(bpf_map_get_fd_by_id(each));
      bpf_map* const own = descriptor.open() ? equalTo(descriptor.get(), names) : nullptr;
      if (own != nullptr) matching.emplace_back(own, std::move(descriptor));
    }
    if (names.empty() || matching.size() != names.size()) return false;
    for (const auto& [own, descriptor] : matching)
      if (bpf_map__reuse_fd(own, descriptor.get()) != 0) return false;
    return true;
  }

  // The map of ours, of these names, that an earlier engine's map is equal to in name, type and layout; or nullptr.
  bpf_map* equalTo(int descriptor, const std::vector<std::string>& names) const {
    bpf_map_info found{};
    uint32_t length = sizeof found;
    if (bpf_obj_get_info_by_fd(descriptor, &found, &length) != 0) return nullptr;
    for (const std::string& name : names) {
      bpf_map* const own = bpf_object__find_map_by_name(object_.get(), name.c_str());
      // The kernel keeps the first 15 characters.
      if (own != nullptr && name.compare(0, BPF_OBJ_NAME_LEN - 1, found.name) == 0 && bpf_map__type(own) == found.type &&
          bpf_map__key_size(own) == found.key_size && bpf_map__value_size(own) == found.value_size &&
          bpf_map__max_entries(own) == found.max_entries && bpf_map__map_flags(own) == found.map_flags)
        return own;
    }
    return nullptr;
  }

  // share(map): 0 or an errno. read, write and storeUs reach this map's memory, across its elements.
  Napi::Value share(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text})) return {};
    const bpf_map* map = find(info[0]);
    if (map == nullptr) return number(info.Env(), ENOENT);
    const size_t value = (bpf_map__value_size(map) + 7) / 8 * 8;
    const size_t length = value * bpf_map__max_entries(map);
    void* at = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    if (at == MAP_FAILED) return number(info.Env(), errno);
    shared_ = std::shared_ptr<uint8_t>(static_cast<uint8_t*>(at), [length](uint8_t* from) { munmap(from, length); });
    sharedLength_ = length;
    return number(info.Env(), 0);
  }

  // memory(): ArrayBuffer. The shared map's memory itself, which stays mapped as long as this is held.
  Napi::Value memory(const Napi::CallbackInfo& info) {
    if (shared_ == nullptr) return info.Env().Undefined();
    auto* held = new std::shared_ptr<uint8_t>(shared_);
    return Napi::ArrayBuffer::New(
        info.Env(), shared_.get(), sharedLength_,
        [](Napi::Env, void*, std::shared_ptr<uint8_t>* hint) { delete hint; }, held);
  }

  // The address of `length` bytes at the offset; nullptr, with a RangeError, when they are not within the shared map.
  uint8_t* within(const Napi::CallbackInfo& info, const Napi::Value& offset, size_t length) {
    const int64_t at = offset.As<Napi::Number>().Int64Value();
    if (shared_ != nullptr && at >= 0 && static_cast<size_t>(at) <= sharedLength_ &&
        length <= sharedLength_ - static_cast<size_t>(at))
      return shared_.get() + at;
    Napi::RangeError::New(info.Env(), "outside the shared map").ThrowAsJavaScriptException();
    return nullptr;
  }

  // read(offset, length): Uint8Array
  Napi::Value read(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::amount, Argument::uint32})) return {};
    const size_t length = info[1].As<Napi::Number>().Uint32Value();
    const uint8_t* at = within(info, info[0], length);
    return at == nullptr ? info.Env().Undefined() : copy(info.Env(), at, length);
  }

  // write(offset, bytes)
  void write(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::amount, Argument::bytes})) return;
    const auto bytes = info[1].As<Napi::Uint8Array>();
    if (uint8_t* at = within(info, info[0], bytes.ByteLength())) std::memcpy(at, bytes.Data(), bytes.ByteLength());
  }

  // storeUs(offset, microseconds): as 64 bits of nanoseconds, at once
  void storeUs(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::amount, Argument::amount})) return;
    const auto ns = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()) * 1000;
    if (uint8_t* at = within(info, info[0], sizeof ns)) {
      __atomic_store_n(reinterpret_cast<uint64_t*>(at), ns, __ATOMIC_RELEASE);
    }
  }

  // storeShort(offset, number): as 16 bits, at once
  void storeShort(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::amount, Argument::uint32})) return;
    const auto value = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value());
    if (uint8_t* at = within(info, info[0], sizeof value)) {
      __atomic_store_n(reinterpret_cast<uint16_t*>(at), value, __ATOMIC_RELEASE);
    }
  }

  // update(map, key, value): 0 or an errno. The value of a per-CPU map: one for every possible processor.
  Napi::Value update(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::bytes, Argument::bytes})) return {};
    const auto key = info[1].As<Napi::Uint8Array>();
    const auto value = info[2].As<Napi::Uint8Array>();
    const bpf_map* map = find(info[0]);
    if (map == nullptr || key.ByteLength() != bpf_map__key_size(map) || value.ByteLength() != valueLength(map))
      return number(info.Env(), EINVAL);
    int error;
    int attempts = 20;
    do {
      error = bpf_map_update_elem(bpf_map__fd(map), key.Data(), value.Data(), BPF_ANY) ? errno : 0;
      // The kernel takes a new element's memory from what it has at hand, which may be nothing for a moment.
    } while (error == ENOMEM && --attempts > 0 && usleep(500) == 0);
    return number(info.Env(), error);
  }

  // remove(map, key): 0 or an errno
  Napi::Value remove(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::bytes})) return {};
    const auto key = info[1].As<Napi::Uint8Array>();
    const bpf_map* map = find(info[0]);
    if (map == nullptr || key.ByteLength() != bpf_map__key_size(map)) return number(info.Env(), EINVAL);
    return number(info.Env(), bpf_map_delete_elem(bpf_map__fd(map), key.Data()) ? errno : 0);
  }

  // lookup(map, key): Uint8Array | undefined
  Napi::Value lookup(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::bytes})) return {};
    const auto key = info[1].As<Napi::Uint8Array>();
    const bpf_map* map = find(info[0]);
    if (map == nullptr || key.ByteLength() != bpf_map__key_size(map)) return info.Env().Undefined();
    std::vector<uint8_t> value(valueLength(map));
    if (bpf_map_lookup_elem(bpf_map__fd(map), key.Data(), value.data())) return info.Env().Undefined();
    return copy(info.Env(), value.data(), value.size());
  }

  // entries(map): Uint8Array, each key with its value behind it
  Napi::Value entries(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text})) return {};
    const bpf_map* map = find(info[0]);
    if (map == nullptr) return copy(info.Env(), nullptr, 0);
    const size_t keySize = bpf_map__key_size(map);
    std::vector<uint8_t> all, key(keySize), next(keySize), value(valueLength(map));
    // A key removed meanwhile makes the kernel begin again: bounded by the map's size.
    const uint32_t limit = bpf_map__max_entries(map);
    for (uint32_t i = 0; i < limit; i++) {
      if (bpf_map_get_next_key(bpf_map__fd(map), i == 0 ? nullptr : key.data(), next.data())) break;
      key = next;
      if (bpf_map_lookup_elem(bpf_map__fd(map), key.data(), value.data())) continue;
      all.insert(all.end(), key.begin(), key.end());
      all.insert(all.end(), value.begin(), value.end());
    }
    return copy(info.Env(), all.data(), all.size());
  }

  // attach(program, ifindex, ingress, priority, handle): 0 or an errno. Replaces a filter of the same handle.
  Napi::Value attach(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::int32, Argument::boolean, Argument::uint32, Argument::uint32})) return {};
    const bpf_tc_hook hook = hookOf(info);
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program(info[0]), .flags = BPF_TC_F_REPLACE,
                .handle = info[4].As<Napi::Number>().Uint32Value(),
                .priority = info[3].As<Napi::Number>().Uint32Value());
    return number(info.Env(), -bpf_tc_attach(&hook, &options));
  }

  // detach(program, ifindex, ingress, priority, handle): 0 or an errno
  Napi::Value detach(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::int32, Argument::boolean, Argument::uint32, Argument::uint32})) return {};
    const bpf_tc_hook hook = hookOf(info);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = info[4].As<Napi::Number>().Uint32Value(),
                .priority = info[3].As<Napi::Number>().Uint32Value());
    return number(info.Env(), -bpf_tc_detach(&hook, &options));
  }

  // programId(program): the kernel's id; 0 when it is not loaded
  Napi::Value programId(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text})) return {};
    bpf_prog_info found{};
    uint32_t length = sizeof found;
    const int error = bpf_obj_get_info_by_fd(program(info[0]), &found, &length);
    return number(info.Env(), error == 0 ? found.id : 0);
  }

  // attachTcx(program, ifindex, ingress, replaced): 0 or an errno. `replaced` is the id of a program there; 0: none.
  Napi::Value attachTcx(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::uint32, Argument::boolean, Argument::uint32})) return {};
    const uint32_t id = info[3].As<Napi::Number>().Uint32Value();
    const Descriptor replaced(id == 0 ? -1 : bpf_prog_get_fd_by_id(id));
    if (id != 0 && !replaced.open()) return number(info.Env(), errno);
    const uint32_t ifindex = info[1].As<Napi::Number>().Uint32Value();
    return number(info.Env(),
                  carp::attachTcx(program(info[0]), ifindex, info[2].As<Napi::Boolean>(), replaced.get()));
  }

  // run(program, frame, ifindex, repeat): { verdict, frame, ns } | errno. BPF_PROG_TEST_RUN.
  Napi::Value run(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::bytes, Argument::uint32, Argument::int32})) return {};
    const Napi::Env env = info.Env();
    const auto frame = info[1].As<Napi::Uint8Array>();
    __sk_buff context{};
    context.ifindex = info[2].As<Napi::Number>().Uint32Value();
    std::vector<uint8_t> out(frame.ByteLength() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.Data(), .data_out = out.data(),
                .data_size_in = static_cast<uint32_t>(frame.ByteLength()),
                .data_size_out = static_cast<uint32_t>(out.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context, .repeat = info[3].As<Napi::Number>().Int32Value());
    int error;
    do {
      error = bpf_prog_test_run_opts(program(info[0]), &options);
    } while (error == -EINTR);
    if (error != 0) return number(env, -error);
    Napi::Object result = Napi::Object::New(env);
    result.Set("verdict", number(env, static_cast<int32_t>(options.retval)));
    result.Set("frame", copy(env, out.data(), options.data_size_out));
    result.Set("ns", number(env, options.duration));
    return result;
  }

  void close(const Napi::CallbackInfo&) { release(); }

  void release() {
    unshare();
    adopted_ = 0;
    object_.reset();
  }

  void unshare() {
    shared_.reset();
    sharedLength_ = 0;
  }

  static bpf_tc_hook hookOf(const Napi::CallbackInfo& info) {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = info[1].As<Napi::Number>().Int32Value();
    hook.attach_point = info[2].As<Napi::Boolean>() ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    return hook;
  }

  const bpf_map* find(const Napi::Value& name) const {
    return object_ ? bpf_object__find_map_by_name(object_.get(), text(name).c_str()) : nullptr;
  }

  // The bytes that bpf_map_lookup_elem() writes.
  size_t valueLength(const bpf_map* map) const {
    const size_t value = bpf_map__value_size(map);
    const bpf_map_type type = bpf_map__type(map);
    if (type != BPF_MAP_TYPE_PERCPU_ARRAY && type != BPF_MAP_TYPE_PERCPU_HASH) return value;
    return (value + 7) / 8 * 8 * processors_;
  }

  // The program's descriptor; -1, which every call refuses, when there is none.
  int program(const Napi::Value& name) const {
    const bpf_program* found = object_ ? bpf_object__find_program_by_name(object_.get(), text(name).c_str()) : nullptr;
    return found == nullptr ? -1 : bpf_program__fd(found);
  }

  Object object_;
  uint32_t adopted_ = 0;
  size_t processors_ = 0;
  std::shared_ptr<uint8_t> shared_;
  size_t sharedLength_ = 0;
};

// bpfLayout(): the layout, or a failure
Napi::Value bpfLayout(const Napi::CallbackInfo& info) {
  const Object object = openObject();
  if (!object) return failure(info.Env(), "bpf_object__open", errno);
  return layoutOf(info.Env(), object.get());
}

}  // namespace

void initBpfObject(Napi::Env env, Napi::Object exports) {
  libbpf_set_print(keepOutput);
  exports.Set("bpfLayout", Napi::Function::New(env, bpfLayout));
  BpfObject::init(env, exports);
}

}  // namespace carp
