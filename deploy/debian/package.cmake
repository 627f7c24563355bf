# What is installed beside the programs and the library, and the Debian packages: `cpack -G DEB` in a build makes three.
#
#     comfy-relay            component relay      the relay, its units, its user; and /etc/comfy-relay (component conffile)
#     comfy-publisher        component publisher  what a worker needs: comfy-publish, the library, the extension, publish.lua
#     libcomfy-publisher-dev component dev        what a program is built with that links to the library
#
# `cmake --install` installs all but /etc/comfy-relay: a file there is somebody's, and only a package manager knows whose.
set(DEBIAN ${CMAKE_CURRENT_LIST_DIR})
set(RELAY_DOC share/doc/comfy-relay)
set(PUBLISHER_DOC share/doc/comfy-publisher)

# What the program says of itself is the larger part of its manual page. One for another machine cannot be asked here.
function(install_manual program section component)
  if(CMAKE_CROSSCOMPILING)
    return()
  endif()
  set(from ${DEBIAN}/${program}.${section}.in)
  set(page ${CMAKE_BINARY_DIR}/${program}.${section})
  add_custom_command(OUTPUT ${page}.gz
    COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:${program}> -D FROM=${from} -D TO=${page} -D VERSION=${PROJECT_VERSION}
            -P ${DEBIAN}/manual.cmake
    DEPENDS ${program} ${from} ${DEBIAN}/manual.cmake VERBATIM)
  add_custom_target(${program}-manual ALL DEPENDS ${page}.gz)
  install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
endfunction()

install_manual(comfy-relay 8 relay)
install_manual(comfy-publish 1 publisher)

# Units name the program where it is installed, which only the installation knows.
install(CODE "
  set(BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  set(TO \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\")
  include(\"${CMAKE_SOURCE_DIR}/deploy/systemd/units.cmake\")
  foreach(unit comfy-relay.service comfy-relay@.service)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/\${unit}\")
  endforeach()" COMPONENT relay)
install(FILES deploy/systemd/sysusers.conf DESTINATION lib/sysusers.d RENAME comfy-relay.conf COMPONENT relay)
install(FILES README.md config/OPTIONS.md deploy/SIZING.md DESTINATION ${RELAY_DOC} COMPONENT relay)
install(FILES deploy/systemd/README.md DESTINATION ${RELAY_DOC} RENAME SYSTEMD.md COMPONENT relay)
install(FILES config/comfy-relay.conf.example DESTINATION ${RELAY_DOC}/examples COMPONENT relay)

install(FILES adapters/WORKERS.md adapters/EXAMPLES.md DESTINATION ${PUBLISHER_DOC} COMPONENT publisher)
install(FILES adapters/redis/publish.lua DESTINATION share/comfy-relay COMPONENT publisher)
install(DIRECTORY adapters/comfyui DESTINATION share/comfy-relay COMPONENT publisher PATTERN __pycache__ EXCLUDE)

install(FILES config/comfy-relay.conf.example DESTINATION /etc/comfy-relay RENAME comfy-relay.conf
        COMPONENT conffile EXCLUDE_FROM_ALL)

# What Debian wants of every package.
set(CPACK_PACKAGE_CONTACT "the comfy-relay authors <authors@comfy-relay.invalid>" CACHE STRING "Maintainer of the packages")
string(TIMESTAMP PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
foreach(package comfy-relay:relay comfy-publisher:publisher libcomfy-publisher-dev:dev)
  string(REGEX REPLACE ".*:" "" component ${package})
  string(REGEX REPLACE ":.*" "" package ${package})
  set(dir ${CMAKE_BINARY_DIR}/debian/${package})
  configure_file(${DEBIAN}/changelog.in ${dir}/changelog @ONLY)
  execute_process(COMMAND gzip -9nkf ${dir}/changelog COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${dir}/changelog.gz ${DEBIAN}/copyright DESTINATION share/doc/${package} COMPONENT ${component}-debian EXCLUDE_FROM_ALL)
  if(EXISTS ${DEBIAN}/${package}.lintian-overrides)
    install(FILES ${DEBIAN}/${package}.lintian-overrides DESTINATION share/lintian/overrides RENAME ${package}
            COMPONENT ${component}-debian EXCLUDE_FROM_ALL)
  endif()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME comfy-relay)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_COMPONENTS_ALL relay conffile relay-debian publisher publisher-debian dev dev-debian)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

set(CPACK_DEBIAN_RELAY_DESCRIPTION
"WebSocket endpoint in front of many ComfyUI workers
The relay subscribes to what ComfyUI workers publish to Redis, and sends
each event to the clients that it is for, as ComfyUI's own server would.
Clients that come back go on where they were.")
set(CPACK_DEBIAN_RELAY_PACKAGE_NAME comfy-relay)
set(CPACK_DEBIAN_RELAY_PACKAGE_SECTION net)
set(CPACK_DEBIAN_RELAY_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_RELAY_PACKAGE_RECOMMENDS "redis-server | valkey-server")
set(CPACK_DEBIAN_RELAY_PACKAGE_CONTROL_EXTRA ${DEBIAN}/conffiles ${DEBIAN}/postinst ${DEBIAN}/prerm ${DEBIAN}/postrm)

set(CPACK_DEBIAN_PUBLISHER_DESCRIPTION
"what a ComfyUI worker needs to publish to comfy-relay
The command comfy-publish, the C library libcomfy-publisher, the script
publish.lua for other clients of Redis, and the extension that makes an
unmodified ComfyUI a worker (/usr/share/comfy-relay/comfyui).")
set(CPACK_DEBIAN_PUBLISHER_PACKAGE_NAME comfy-publisher)
set(CPACK_DEBIAN_PUBLISHER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PUBLISHER_PACKAGE_CONTROL_EXTRA ${DEBIAN}/triggers)

set(CPACK_DEBIAN_DEV_DESCRIPTION
"development files of libcomfy-publisher
Header, static library and pkg-config file for programs that publish
events to comfy-relay.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libcomfy-publisher-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "comfy-publisher (= ${PROJECT_VERSION}), libhiredis-dev")

include(CPack)
foreach(group relay publisher dev)
  cpack_add_component_group(${group})
  cpack_add_component(${group} GROUP ${group})
  cpack_add_component(${group}-debian GROUP ${group})
endforeach()
cpack_add_component(conffile GROUP relay)
