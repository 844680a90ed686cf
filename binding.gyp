{
  "targets": [
    {
      "target_name": "skerry",
      "sources": ["<!@(node .ci/native_sources.mjs addon)"],
      "include_dirs": [
        "<!(node .ci/native_sources.mjs include node-addon-api)",
        "<!(node .ci/native_sources.mjs include xxhash)"
      ],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "cflags!": ["-fno-exceptions", "-O3"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-O3"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-pthread", "-fvisibility=hidden"],
      "ldflags": ["-pthread", "-Wl,-z,now"],
      "conditions": [
        ["OS=='linux'", {"libraries": ["-lrt", "-llz4", "-lzstd"]}]
      ]
    }
  ]
}
