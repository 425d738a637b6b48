package firewall

import "time"

// A KeeperState is what status and metrics tell of a firewall.
type KeeperState struct {
	Backend string // its name
	Wanted  int    // entries that are to be in force
	Pending int    // entries that are told and not known to be made
	InStep  bool   // everything told is in force, as far as is known
	Repairs uint64 // how often something of somebody else's doing had to be put right
	Failed  uint64 // how often the backend could not do what it was told

	Err   error     // why it is not in step; nil: it is, or will be in a moment
	Since time.Time // since when it fails

	Looked time.Time // when it was last found, or put, in step
	Held   int       // how many entries it held then
}

// State is how things are. It never waits for the backend.
func (k *Keeper) State() KeeperState {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	s.Wanted, s.Pending = len(k.want), len(k.missed)
	for _, c := range k.due {
		s.Pending += len(c.Add) + len(c.Refresh) + len(c.Remove)
	}
	s.InStep = k.told && !k.doubt && !k.touched && len(k.due) == 0 && !k.allowDue && s.Err == nil
	return s
}

// trouble notes why the firewall is not as it is to be.
func (k *Keeper) trouble(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bad(err)
}

// bad is trouble for who holds mu.
func (k *Keeper) bad(err error) {
	k.state.Failed++
	if k.state.Err == nil {
		k.state.Since = k.o.Now()
	}
	k.state.Err = err
}

// inStep notes that a look found the firewall as it is to be, or made it so.
func (k *Keeper) inStep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.doubt {
		return
	}
	k.touched = false
	k.state.Err, k.state.Since = nil, time.Time{}
	k.state.Looked, k.state.Held = k.o.Now(), len(k.want)
}
