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
  ],
  "conditions": [
    ["<!(node .ci/native_sources.mjs driver-is-buildable rados)==1", {
      "targets": [
        {
          "target_name": "rados_bindings",
          "sources": ["<!@(node .ci/native_sources.mjs driver rados)"],
          "include_dirs": ["<!(node .ci/native_sources.mjs include node-addon-api)"],
          "defines": [
            "NAPI_VERSION=9",
            "NAPI_DISABLE_CPP_EXCEPTIONS",
            "NODE_ADDON_API_DISABLE_DEPRECATED",
            "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
          ],
          "cflags!": ["-fno-exceptions", "-O3"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-O3"],
          "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-pthread", "-fvisibility=hidden"],
          "ldflags": ["-pthread", "-Wl,-z,now"],
          "libraries": ["-lrados"]
        }
      ]
    }],
    ["<!(node .ci/native_sources.mjs driver-is-buildable gluster)==1", {
      "targets": [
        {
          "target_name": "gluster_bindings",
          "sources": ["<!@(node .ci/native_sources.mjs driver gluster)"],
          "include_dirs": ["<!(node .ci/native_sources.mjs include node-addon-api)"],
          "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
          "cflags!": ["-fno-exceptions", "-O3"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-O3"],
          "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-pthread", "-fvisibility=hidden"],
          "ldflags": ["-pthread", "-Wl,-z,now"],
          "libraries": ["-lgfapi"]
        }
      ]
    }],
    ["<!(node .ci/native_sources.mjs driver-is-buildable nfs)==1", {
      "targets": [
        {
          "target_name": "nfs_bindings",
          "sources": ["<!@(node .ci/native_sources.mjs driver nfs)"],
          "include_dirs": ["<!(node .ci/native_sources.mjs include node-addon-api)"],
          "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
          "cflags!": ["-fno-exceptions", "-O3"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-O3"],
          "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-pthread", "-fvisibility=hidden"],
          "ldflags": ["-pthread", "-Wl,-z,now"],
          "libraries": ["-lnfs"]
        }
      ]
    }]
  ]
}
