// Reads the types and maps of the compiled object from its BTF, so that TypeScript uses every field at the offset that
// the programs use.

#include "bpf/bpf_layout.h"

#include <bpf/btf.h>

#include <string>

namespace carp {
namespace {

Napi::Object placeAt(Napi::Env env, uint32_t offset, int64_t size) {
  Napi::Object place = Napi::Object::New(env);
  place.Set("offset", Napi::Number::New(env, offset));
  place.Set("size", Napi::Number::New(env, static_cast<double>(size)));
  return place;
}

Napi::Object membersOf(Napi::Env env, const btf* types, const btf_type* type) {
  Napi::Object members = Napi::Object::New(env);
  const btf_member* member = btf_members(type);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    const std::string name = btf__name_by_offset(types, member[i].name_off);
    if (name.empty()) continue;
    members.Set(name, placeAt(env, btf_member_bit_offset(type, i) / 8, btf__resolve_size(types, member[i].type)));
  }
  return members;
}

}  // namespace

Napi::Object layoutOf(Napi::Env env, const bpf_object* object) {
  Napi::Object structs = Napi::Object::New(env);
  Napi::Object enums = Napi::Object::New(env);
  Napi::Object variables = Napi::Object::New(env);
  Napi::Object maps = Napi::Object::New(env);
  const btf* types = bpf_object__btf(object);
  for (uint32_t id = 1; types != nullptr && id < btf__type_cnt(types); id++) {
    const btf_type* type = btf__type_by_id(types, id);
    const std::string name = btf__name_by_offset(types, type->name_off);
    if (btf_is_struct(type) && !name.empty()) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("size", Napi::Number::New(env, type->size));
      entry.Set("members", membersOf(env, types, type));
      structs.Set(name, entry);
    } else if (btf_is_enum(type)) {
      const struct btf_enum* value = btf_enum(type);
      for (uint32_t i = 0; i < btf_vlen(type); i++) {
        enums.Set(btf__name_by_offset(types, value[i].name_off), Napi::Number::New(env, value[i].val));
      }
    } else if (btf_is_datasec(type) && name == ".bss") {
      const btf_var_secinfo* variable = btf_var_secinfos(type);
      for (uint32_t i = 0; i < btf_vlen(type); i++) {
        const btf_type* declared = btf__type_by_id(types, variable[i].type);
        variables.Set(btf__name_by_offset(types, declared->name_off), placeAt(env, variable[i].offset, variable[i].size));
      }
    }
  }
  const bpf_map* map;
  bpf_object__for_each_map(map, object) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("type", Napi::Number::New(env, bpf_map__type(map)));
    entry.Set("keySize", Napi::Number::New(env, bpf_map__key_size(map)));
    entry.Set("valueSize", Napi::Number::New(env, bpf_map__value_size(map)));
    entry.Set("maxEntries", Napi::Number::New(env, bpf_map__max_entries(map)));
    maps.Set(bpf_map__name(map), entry);
  }
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("structs", structs);
  layout.Set("enums", enums);
  layout.Set("variables", variables);
  layout.Set("maps", maps);
  return layout;
}

}  // namespace carp
