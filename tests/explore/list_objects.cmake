# SPDX-License-Identifier: Apache-2.0
#
# Writes OUTPUT, a C file with the names of OBJECTS (separated by |) and one hash over all of them.

string(REPLACE "|" ";" objects "${OBJECTS}")
set(names "")
set(hashes "")
foreach(object IN LISTS objects)
    file(SHA256 "${object}" hash)
    string(APPEND hashes ${hash})
    string(REGEX REPLACE "^.*\\.dir/(\\./)?(__/)*" "" name "${object}")
    string(APPEND names "    \"${name}\",\n")
endforeach()
string(SHA256 all "${hashes}")
file(WRITE "${OUTPUT}" "#include <stddef.h>
const char explore_objects_hash[] = \"${all}\";
const char *const explore_objects[] = {
${names}    NULL,
};
")
