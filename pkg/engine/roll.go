package engine

import (
	"encoding/binary"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// Seats is how many clients the roll of an Engine holds, see [Outcome].
const Seats = 1 << seatBits

const seatBits = 13

// A roll remembers the answers to what is asked again and again about the
// clients of the latest lines. It is no part of the state.
type roll struct {
	seats []seat // by hash; the later client takes the place of the one before
}

type seat struct {
	client  netip.Addr
	version uint64                          // of the books when bans were looked up
	bans    [maillog.NumDoors]*ban.Ban      // that hold the client
	allowed uint8                           // 0: not asked yet
	_       [64 - 24 - 8 - 8*doors - 1]byte // one cache line
}

const (
	doors = int(maillog.NumDoors)

	isAllowed  = 1
	notAllowed = 2
)

// at is the seat of a client. fresh says that it was another's, or nobody's.
func (r *roll) at(a netip.Addr) (i uint32, fresh bool) {
	b := a.As16()
	h := binary.LittleEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(b[8:])
	i = uint32(h * 0xd6e8feb86659fd93 >> (64 - seatBits))
	if s := &r.seats[i]; s.client != a {
		*s = seat{client: a}
		return i, true
	}
	return i, false
}

// clear forgets all.
func (r *roll) clear() { clear(r.seats) }

// seat finds the seat of the client of an event and the bans that hold it.
func (e *Engine) seat(a netip.Addr, out *Outcome) *seat {
	out.Seat, out.Fresh = e.roll.at(a)
	s := &e.roll.seats[out.Seat]
	version := uint64(1)
	for _, b := range e.books {
		version += b.Version()
	}
	if s.version != version {
		s.version = version
		for d, b := range e.books {
			s.bans[d] = nil
			if b.Len() > 0 {
				s.bans[d] = b.Lookup(a)
			}
		}
	}
	return s
}

// allowed says whether the client of a seat is on the allowlist.
func (e *Engine) allowed(s *seat) bool {
	if s.allowed == 0 {
		s.allowed = notAllowed
		if e.allow.Contains(s.client) {
			s.allowed = isAllowed
		}
	}
	return s.allowed == isAllowed
}
