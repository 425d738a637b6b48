package allow

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// A utmpLayout is how glibc lays struct utmp out (bits/utmp.h). Most 64-bit
// systems keep the 32-bit times of old; arm64 and loong64 never had them.
type utmpLayout struct {
	size int // of a record
	addr int // offset of ut_addr_v6
}

func layoutOf(arch string) utmpLayout {
	switch arch {
	case "arm64", "loong64":
		return utmpLayout{size: 400, addr: 360}
	}
	return utmpLayout{size: 384, addr: 348}
}

// Offsets and lengths that all layouts share.
const (
	utmpUserProcess = 7 // ut_type of a login
	utmpPID         = 4
	utmpLine        = 8
	utmpLineLen     = 32
	utmpUser        = 44
	utmpUserLen     = 32
	maxUtmpRecords  = 4096
)

// A utmpRecord is a login with the address it came from.
type utmpRecord struct {
	pid        int32
	line, user string // cut and printable
	peer       netip.Addr
}

// parseUtmp gives the logins that have an address; a half record at the end does not count.
func parseUtmp(text []byte, l utmpLayout) []utmpRecord {
	var found []utmpRecord
	for ; len(text) >= l.size && len(found) < maxUtmpRecords; text = text[l.size:] {
		r := text[:l.size]
		if binary.NativeEndian.Uint16(r) != utmpUserProcess {
			continue
		}
		var b [16]byte
		copy(b[:], r[l.addr:])
		peer := netip.AddrFrom16(b).Unmap()
		if [12]byte(b[4:]) == [12]byte{} { // an IPv4 address stands in the first word
			peer = netip.AddrFrom4([4]byte(b[:4]))
		}
		if peer.IsUnspecified() {
			continue
		}
		found = append(found, utmpRecord{
			pid:  int32(binary.NativeEndian.Uint32(r[utmpPID:])),
			line: text0(r[utmpLine : utmpLine+utmpLineLen]),
			user: text0(r[utmpUser : utmpUser+utmpUserLen]),
			peer: peer,
		})
	}
	return found
}

// text0 gives the text before the first NUL.
func text0(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return word(b)
}
