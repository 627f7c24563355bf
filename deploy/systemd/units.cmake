# Writes both units, from one text: cmake -D BINDIR=/usr/local/bin -D TO=directory -P deploy/systemd/units.cmake
# They differ in the command line only, and only when it is installed is it known where the program is.
cmake_minimum_required(VERSION 3.25)
function(write_unit name)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/comfy-relay.service.in text)
  foreach(variable ABOUT NUMBER OPTIONS BINDIR)
    string(REPLACE "@${variable}@" "${${variable}}" text "${text}")
  endforeach()
  file(WRITE ${TO}/${name} "${text}")
  file(CHMOD ${TO}/${name} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

set(ABOUT "comfy-relay as one process. For several on one port: comfy-relay@0, comfy-relay@1, …")
write_unit(comfy-relay.service)

set(ABOUT "One of several processes on one port, comfy-relay@0 to comfy-relay@9; /ready, /live and /metrics of comfy-relay@N are at 127.0.0.1:919N.")
set(NUMBER " %i")
set(OPTIONS " --listen.shared=true --ops.listen=127.0.0.1:919%i")
write_unit(comfy-relay@.service)
