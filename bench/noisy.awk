# SPDX-License-Identifier: Apache-2.0
#
# noisy.awk - which programs have a row whose limit spread in every attempt so far: awk -f samples.awk -f noisy.awk

END {
    for (i = 1; i <= key_count; i++)
        if (!is_peer(keys[i]) && program_of[keys[i]] != "limits" && !is_quiet(keys[i], attempt_of(keys[i])) &&
            !told[program_of[keys[i]]]++)
            print program_of[keys[i]]
}
