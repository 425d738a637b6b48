package engine

import (
	"net/netip"
	"unsafe"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/fetch"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
)

// seats is how many clients the roll of an Engine holds: many more than write at
// one time, so that two of them seldom have the same. Those that nobody takes are
// never written, and take no memory.
const seats = 1 << seatBits

const seatBits = 15

// manyClients are more than fit into the caches of a processor, with what is known
// of them.
const manyClients = 8192

// A roll remembers the answers to what is asked again and again about the
// clients of the latest lines. It is no part of the state.
type roll struct {
	seats *[seats]seat // by hash; the later client takes the place of the one before
}

const _ = uint(unsafe.Sizeof(netip.Addr{}) - 16) // or place may not read so much

type seat struct {
	client  netip.Addr
	version uint64                     // of the books when bans were looked up
	bans    [maillog.NumDoors]*ban.Ban // that hold the client
	record  score.Ref                  // its good evidence
	note    uint32                     // of the reader, see Outcome
	allowed uint8                      // 0: not asked yet
}

const (
	isAllowed  = 1
	notAllowed = 2
)

// at is the seat of a client, which may have been another's.
func (r *roll) at(a *netip.Addr) *seat {
	s := &r.seats[place(a)]
	if s.client != *a {
		*s = seat{client: *a}
	}
	return s
}

// place is where a client is seated. It is a hash of the first 16 bytes of the address
// as it lies in memory: those of equal ones are the same. Others that have them too, as
// one with a zone, have the same place, which does no harm.
func place(a *netip.Addr) uint32 {
	w := (*[2]uint64)(unsafe.Pointer(a))
	return uint32((w[0]*0x9e3779b97f4a7c15 ^ w[1]) * 0xd6e8feb86659fd93 >> (64 - seatBits))
}

// Expect says that ev, which was not joined yet, will be fed soon. It changes
// nothing but has fetched what is known of the client: its seat, and for the end of
// a session with mail its record. Where there are many clients, see Many, the
// places of its offences are fetched for a reject as well. note is that of the
// client, see Outcome, if it will be asked for.
//
// No branch predictor foresees what kind of event comes, so little depends on it.
func (e *Engine) Expect(ev *maillog.Event, many bool) (note uint32) {
	s := &e.roll.seats[place(&ev.Client)]
	if ev.Commands.Data.OK|ev.Commands.Bdat.OK != 0 {
		if s.client == ev.Client {
			s.record.Fetch()
			return s.note
		}
		return 0
	}
	fetch.Line(unsafe.Pointer(s))
	if many && ev.Kind == maillog.SMTPDReject {
		fetch.Text(ev.Text(maillog.Recipient))
		e.tables[ev.Door()].Expect(ev.Client)
		e.good.Expect(ev.Client)
	}
	return 0
}

// Many says whether so many clients are known that Expect does well to fetch all.
func (e *Engine) Many() bool {
	n := e.good.Len()
	for _, t := range e.tables {
		n += t.Len()
	}
	return n > manyClients
}

// clear forgets all.
func (r *roll) clear() {
	for i := range r.seats {
		if s := &r.seats[i]; s.client.IsValid() {
			*s = seat{}
		}
	}
}

// seat finds the seat of a client, and the bans that hold it.
func (e *Engine) seat(a *netip.Addr, out *Outcome) *seat {
	s := e.roll.at(a)
	out.Note = &s.note
	if version := 1 + e.books[0].Version() + e.books[1].Version(); s.version != version {
		s.version = version
		e.lookUp(s)
	}
	return s
}

// lookUp finds the bans that hold the client of a seat.
func (e *Engine) lookUp(s *seat) {
	for d, b := range e.books {
		s.bans[d] = nil
		if b.Len() > 0 {
			s.bans[d] = b.Lookup(s.client)
		}
	}
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
