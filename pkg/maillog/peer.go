package maillog

import (
	"bytes"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/vector"
)

// peer reads NAME "[" ADDR "]" at m[i:], as smtpd writes a client, and sets
// ClientName, Client and Port (to none). It is the index behind it, -1 when
// it is anything else; then ev is as it was.
func peer(m []byte, i int, ev *Event) int {
	if n := quickPeer(m, i, ev); n >= 0 { // most
		return n
	}
	return slowPeer(m, i, ev)
}

// quickPeer is peer for those that [vector.Peer] reads.
func quickPeer(m []byte, i int, ev *Event) int {
	name, all, v := vector.Peer(m, i)
	if all == 0 {
		return -1
	}
	ev.set(ClientName, m[i:i+name])
	ev.Client, ev.Port = addr4(v), 0
	return i + all
}

// slowPeer is peer for the others.
func slowPeer(m []byte, i int, ev *Event) int {
	at := i
	for i >= 0 && i < len(m)-7 {
		stop := noName(load(m, i))
		i += first(stop)
		if stop != 0 {
			break
		}
	}
	for i < len(m) && nameByte[m[i]] { // the last seven bytes
		i++
	}
	if i == at || i >= len(m) || m[i] != '[' {
		return -1
	}
	a, n := bracketed(m, i)
	if n == 0 {
		return -1
	}
	ev.set(ClientName, m[at:i])
	ev.Client, ev.Port = a, 0
	return i + n
}

// portless reports whether what stands at m[n:], behind a peer, is no port.
func portless(m []byte, n int) bool {
	return len(m)-n < 2 || m[n] != ':' || m[n+1] == ' '
}

// bracketed reads "[" ADDR "]" at b[i:]; n is its length, 0 when there is
// none.
func bracketed(b []byte, i int) (a netip.Addr, n int) {
	if i >= len(b) || b[i] != '[' {
		return a, 0
	}
	// The first group of an IPv6 address has at most four digits.
	if i+9 > len(b) || equal(load(b, i+1), ':') == 0 {
		if v, n := quad(b, i+1, ']'); n > 0 {
			return addr4(v), n + 2
		}
	}
	b = b[i+1:]
	end := bytes.IndexByte(b[:min(len(b), 47)], ']')
	if end < 0 {
		return a, 0
	}
	a, ok := parse6(b[:end])
	if !ok {
		return a, 0
	}
	return a, end + 2
}

// addr4 is the IPv4 address of that number.
func addr4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
