package allow

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"slices"
	"strconv"
)

// maxRoutes bounds what is read of the routing table, in bytes: a host with the
// table of the whole Internet has its default routes, if any, near the front.
const maxRoutes = 8 << 20

// Flags of the kernel's routing tables (linux/route.h).
const (
	routeUp      = 0x1
	routeGateway = 0x2
)

// A gateway is the next hop of a default route.
type gateway struct {
	addr netip.Addr
	over string // the interface
}

// parseRoutes4 finds the default gateways in the text of /proc/net/route. The
// kernel prints an address as the number that its four bytes are in memory.
func parseRoutes4(r io.Reader) []gateway {
	return scanRoutes(r, func(f [][]byte) (g gateway, ok bool) {
		if len(f) < 8 || string(f[1]) != "00000000" || string(f[7]) != "00000000" || !isGateway(f[3]) {
			return g, false
		}
		n, err := strconv.ParseUint(string(f[2]), 16, 32)
		if err != nil {
			return g, false
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(n))
		return gateway{netip.AddrFrom4(b), word(f[0])}, true
	})
}

// parseRoutes6 finds the default gateways in the text of /proc/net/ipv6_route.
func parseRoutes6(r io.Reader) []gateway {
	return scanRoutes(r, func(f [][]byte) (g gateway, ok bool) {
		if len(f) < 10 || string(f[1]) != "00" || !isGateway(f[8]) {
			return g, false
		}
		b, err := hex.DecodeString(string(f[4]))
		a, ok := netip.AddrFromSlice(b)
		if err != nil || !ok || !a.Is6() {
			return g, false
		}
		return gateway{a.Unmap(), word(f[9])}, true
	})
}

func isGateway(flags []byte) bool {
	n, err := strconv.ParseUint(string(flags), 16, 32)
	return err == nil && n&(routeUp|routeGateway) == routeUp|routeGateway
}

func scanRoutes(r io.Reader, parse func([][]byte) (gateway, bool)) []gateway {
	const most = 64
	var found []gateway
	s := bufio.NewScanner(io.LimitReader(r, maxRoutes))
	for s.Scan() && len(found) < most {
		if g, ok := parse(bytes.Fields(s.Bytes())); ok && !g.addr.IsUnspecified() && !slices.Contains(found, g) {
			found = append(found, g)
		}
	}
	return found
}

// parseRouteGet finds the gateway in what `route -n get default` prints on a BSD.
func parseRouteGet(out []byte) (g gateway, ok bool) {
	for line := range bytes.Lines(out) {
		key, value, found := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case !found:
		case string(bytes.TrimSpace(key)) == "gateway":
			if a, err := netip.ParseAddr(string(value)); err == nil {
				g.addr, ok = a.Unmap().WithZone(""), true
			}
		case string(bytes.TrimSpace(key)) == "interface":
			g.over = word(value)
		}
	}
	return g, ok && !g.addr.IsUnspecified()
}

// word makes foreign text fit to stand in an origin: printable, short.
func word(b []byte) string {
	const limit = 32
	b = bytes.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, b[:min(len(b), limit)])
	return string(b)
}
