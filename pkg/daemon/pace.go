package daemon

import (
	"time"

	"github.com/postmoat/postmoat/pkg/source"
)

// hanging is after how many ticks without a sign of life a source hangs: its file
// system does not answer, say. It is more than the search for a place in a large
// archive takes.
const hanging = 300

// A pace tells a source that hangs from one that has a lot to read, and from a
// process that was stopped: it counts ticks of the core, not time.
type pace struct {
	looked time.Time
	seq    uint64
	lag    int64
	still  int // ticks in which none of these has moved
}

// tick notes how a source is doing; seq is the last line of it that was fed.
func (p *pace) tick(seq uint64, st source.Status) {
	same := st.Looked.Equal(p.looked) && seq == p.seq && st.Lag == p.lag
	p.looked, p.seq, p.lag = st.Looked, seq, st.Lag
	switch {
	case !same, st.Looked.IsZero(), st.State != source.Following && st.State != source.CatchingUp:
		p.still = 0 // or it does not say when it looks
	default:
		p.still++
	}
}

func (p *pace) hangs() bool { return p.still >= hanging }
