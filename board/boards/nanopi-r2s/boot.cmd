# nanopi-r2s: which slot is started. Made from board/boot-table.toml and the board's board.toml by
# board::boot::script; a test holds it equal to them. Each variable with lines in it is a function.
setenv copy_1 '
setenv seq
if mmc read 18000000 2000 20 && env import -c 18000000 4000 seq; then
setexpr seq sub "^.........+$" z
setexpr seq gsub "[^0123456789abcdefABCDEF]" z
setexpr seq sub "^.*z.*$" z
if test -n "${seq}" && test "${seq}" != z; then
setexpr seq 100000000 + ${seq}
setexpr seq sub ^. "" ${seq}
if test -z "${newest}" || itest ${seq} > ${best}; then
setenv newest 1; setenv from 18000000; setenv best ${seq}
fi; fi; fi
'
setenv copy_2 '
setenv seq
if mmc read 18004000 6000 20 && env import -c 18004000 4000 seq; then
setexpr seq sub "^.........+$" z
setexpr seq gsub "[^0123456789abcdefABCDEF]" z
setexpr seq sub "^.*z.*$" z
if test -n "${seq}" && test "${seq}" != z; then
setexpr seq 100000000 + ${seq}
setexpr seq sub ^. "" ${seq}
if test -z "${newest}" || itest ${seq} > ${best}; then
setenv newest 2; setenv from 18004000; setenv best ${seq}
fi; fi; fi
'
setenv import '
setenv order
setenv a_state
setenv a_tries
setenv a_rounds
setenv b_state
setenv b_tries
setenv b_rounds
if test -n "${newest}"; then env import -c ${from} 4000 order a_state a_tries a_rounds b_state b_tries b_rounds; fi
setenv seq ${best}
setexpr order sub "^...+$" z
setexpr order gsub "[^ab]" z
if test "${order}" = ba; then setenv list b a; else setenv order ab; setenv list a b; fi
setexpr a_state sub "^..+$" z
setexpr a_state gsub "[^etgxu]" z
if test -z "${a_state}" || test "${a_state}" = z; then setenv a_state u; fi
setexpr a_tries sub "^0*([0123456789abcdefABCDEF])$" \\\\1
setexpr a_tries sub "^..+$" z
setexpr a_tries gsub "[^0123456789abcdefABCDEF]" z
if test -z "${a_tries}" || test "${a_tries}" = z; then setenv a_tries 1; fi
setexpr a_rounds sub "^0*([0123456789abcdefABCDEF])$" \\\\1
setexpr a_rounds sub "^..+$" z
setexpr a_rounds gsub "[^0123456789abcdefABCDEF]" z
if test -z "${a_rounds}" || test "${a_rounds}" = z; then setenv a_rounds 1; fi
setexpr b_state sub "^..+$" z
setexpr b_state gsub "[^etgxu]" z
if test -z "${b_state}" || test "${b_state}" = z; then setenv b_state u; fi
setexpr b_tries sub "^0*([0123456789abcdefABCDEF])$" \\\\1
setexpr b_tries sub "^..+$" z
setexpr b_tries gsub "[^0123456789abcdefABCDEF]" z
if test -z "${b_tries}" || test "${b_tries}" = z; then setenv b_tries 1; fi
setexpr b_rounds sub "^0*([0123456789abcdefABCDEF])$" \\\\1
setexpr b_rounds sub "^..+$" z
setexpr b_rounds gsub "[^0123456789abcdefABCDEF]" z
if test -z "${b_rounds}" || test "${b_rounds}" = z; then setenv b_rounds 1; fi
'
setenv save '
if test ${seq} != ffffffff; then
setexpr seq 1${seq} + 1
setexpr seq sub ^. "" ${seq}
if test "${newest}" = 1; then setenv copy 2; setenv at 6000; else setenv copy 1; setenv at 2000; fi
env export -c -s 4000 18000000 seq order a_state a_tries a_rounds b_state b_tries b_rounds && mmc write 18000000 ${at} 20 && setenv newest ${copy}
fi
'
setenv start_a '
if mmc read 10000000 c000 1 && itest.l *10000000 == 53584253 && itest.l *10000004 == 31544f4c; then
setexpr.l count *10000008
if itest ${count} > 0 && itest ${count} <= 1fff8 && mmc read 10000000 c008 ${count} && itest.l *10000000 == edfe0dd0; then
setenv bootargs "console=ttyS2,1500000 panic=5 quiet slot=a reset=${reset} marker=0xff1005d8"
mw.l ff1005d8 61584253
if bootm 10000000#conf 10000000#conf ${fdtcontroladdr}; then setenv started a; else mw.l ff1005d8 0; fi
fi; fi
'
setenv try_a '
if test -z "${started}" && test ${a_tries} != 0; then
for word in e-normal e-crash t-normal t-crash g-crash x-normal x-crash u-normal u-crash; do if test ${a_state}-${reset} = ${word}; then
setexpr a_tries ${a_tries} - 1
run save
fi; done
run start_a
if test -z "${started}" && test ${a_tries} != 0; then setenv a_tries 0; run save; fi
fi
'
setenv good_a '
if test -z "${started}" && test "${a_state}" = g; then run start_a; fi
'
setenv rest_a '
if test -z "${started}" && test "${a_state}" != x; then run start_a; fi
'
setenv failed_a '
if test -z "${started}" && test "${a_state}" = x; then run start_a; fi
'
setenv start_b '
if mmc read 10000000 6c000 1 && itest.l *10000000 == 53584253 && itest.l *10000004 == 31544f4c; then
setexpr.l count *10000008
if itest ${count} > 0 && itest ${count} <= 1fff8 && mmc read 10000000 6c008 ${count} && itest.l *10000000 == edfe0dd0; then
setenv bootargs "console=ttyS2,1500000 panic=5 quiet slot=b reset=${reset} marker=0xff1005d8"
mw.l ff1005d8 62584253
if bootm 10000000#conf 10000000#conf ${fdtcontroladdr}; then setenv started b; else mw.l ff1005d8 0; fi
fi; fi
'
setenv try_b '
if test -z "${started}" && test ${b_tries} != 0; then
for word in e-normal e-crash t-normal t-crash g-crash x-normal x-crash u-normal u-crash; do if test ${b_state}-${reset} = ${word}; then
setexpr b_tries ${b_tries} - 1
run save
fi; done
run start_b
if test -z "${started}" && test ${b_tries} != 0; then setenv b_tries 0; run save; fi
fi
'
setenv good_b '
if test -z "${started}" && test "${b_state}" = g; then run start_b; fi
'
setenv rest_b '
if test -z "${started}" && test "${b_state}" != x; then run start_b; fi
'
setenv failed_b '
if test -z "${started}" && test "${b_state}" = x; then run start_b; fi
'
setenv main '
mmc dev 1
setenv started; setenv newest; setenv best 00000000; setenv word; setenv slot
setenv reset normal; setenv back
if itest.l *ff1005d8 == 61584253; then setenv reset crash; setenv back a; fi
if itest.l *ff1005d8 == 62584253; then setenv reset crash; setenv back b; fi
mw.l ff1005d8 0
run copy_1
run copy_2
run import
echo "Boot: order ${order}, a ${a_state}${a_tries}${a_rounds}, b ${b_state}${b_tries}${b_rounds}, reset ${reset}"
for slot in ${list}; do run try_${slot}; done
if test "${back}" = a; then setenv list b a; fi
if test "${back}" = b; then setenv list a b; fi
if test -z "${back}"; then for slot in ${list}; do run good_${slot}; done; fi
for slot in ${list}; do run rest_${slot}; done
for slot in ${list}; do run failed_${slot}; done
if test -z "${started}"; then
echo "No slot holds a system that is signed for this box."
echo "Write a disk image to it: start the board from a card, or connect it by its cable. Looking again in 10 s."
sleep 10
reset
fi
'
run main
reset
