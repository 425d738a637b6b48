package ban

import (
	"cmp"
	"errors"
	"math"
	"net/netip"
	"slices"
)

const (
	// minute is what the breaker measures over, in seconds.
	minute = 60
	// calm is how long it stays tripped after the measure fell under half.
	calm = 600
	// slack is by how much times may go back, as engine.Late.
	slack = 120
)

// A Breaker keeps widening from running away. The books of all doors share
// one. It measures, over a sliding minute, how many addresses (IPv6: /64) wide
// bans newly cover of clients that did not offend, and how many known-good
// senders wide bans had to be carved around. A wide ban that would bring one of
// these above its limit trips it and is not made; nor is any other until ten
// minutes after the measure fell to half of the limit. What is no new ban
// (renewal, carving, joining of bans at equal width) is not held.
type Breaker struct {
	addresses int64 // limits; negative: none
	goods     int

	covered []Covered  // by time
	met     []Sighting // by address
	from    int64      // tripped since
	until   int64      // tripped until; 0: not
	trips   int
	held    bool
}

// Covered is what wide bans covered in one second.
type Covered struct{ Time, Addresses int64 }

// A Sighting is a known-good sender that was carved around.
type Sighting struct {
	Addr netip.Addr
	Time int64 // the last
}

// NewBreaker returns a breaker that trips at more than so many addresses in a
// minute, or so many known-good senders. A negative number is no limit.
func NewBreaker(addressesPerMinute int64, knownGood int) *Breaker {
	return &Breaker{addresses: addressesPerMinute, goods: knownGood}
}

// Tripped says whether widening is stopped.
func (k *Breaker) Tripped(now int64) bool {
	// A clock that went far back must not leave it tripped for long.
	return k.until != 0 && now < k.until && now >= k.from-slack
}

// Hold stops widening until it is called again, whatever the measure says: the
// allowlist may lack something.
func (k *Breaker) Hold(held bool) { k.held = held }

// Until is when widening goes on, 0 if it is not stopped at now.
func (k *Breaker) Until(now int64) int64 {
	if !k.Tripped(now) {
		return 0
	}
	return k.until
}

// Trips is how often it tripped since it was made.
func (k *Breaker) Trips() int { return k.trips }

// Resume lets widening go on at once, with an empty measure.
func (k *Breaker) Resume(int64) { k.from, k.until, k.covered, k.met = 0, 0, nil, nil }

// widen asks for a wide ban that newly covers so many addresses, carved around
// these known-good senders.
func (k *Breaker) widen(now, addresses int64, goods []netip.Addr) bool {
	if k.held || k.Tripped(now) {
		return false
	}
	k.covered = slices.DeleteFunc(k.covered, func(c Covered) bool { return c.Time <= now-minute || c.Time > now+slack })
	k.met = slices.DeleteFunc(k.met, func(s Sighting) bool { return s.Time <= now-minute || s.Time > now+slack })
	sum, fresh := addresses, 0
	for _, c := range k.covered {
		sum += c.Addresses
	}
	for _, a := range goods {
		if _, ok := k.sighting(a); !ok {
			fresh++
		}
	}
	if k.addresses >= 0 && sum > k.addresses || k.goods >= 0 && fresh > 0 && len(k.met)+fresh > k.goods {
		k.from, k.until = now, k.halved(now)+calm
		k.trips++
		return false
	}
	k.record(now, addresses, goods)
	return true
}

func (k *Breaker) sighting(a netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(k.met, a, func(s Sighting, a netip.Addr) int { return s.Addr.Compare(a) })
}

func (k *Breaker) record(now, addresses int64, goods []netip.Addr) {
	if k.addresses >= 0 {
		i, ok := slices.BinarySearchFunc(k.covered, now, func(c Covered, t int64) int { return cmp.Compare(c.Time, t) })
		if !ok {
			k.covered = slices.Insert(k.covered, i, Covered{Time: now})
		}
		k.covered[i].Addresses += addresses
	}
	if k.goods < 0 {
		return
	}
	for _, a := range goods {
		i, ok := k.sighting(a)
		if !ok {
			k.met = slices.Insert(k.met, i, Sighting{Addr: a})
		}
		k.met[i].Time = max(k.met[i].Time, now)
	}
}

// halved is when both measures are down to half of their limits, if nothing
// comes: and nothing does while it is tripped.
func (k *Breaker) halved(now int64) int64 {
	at := now
	sum := int64(0)
	for _, c := range k.covered {
		sum += c.Addresses
	}
	for _, c := range k.covered { // the oldest goes first
		if sum <= k.addresses/2 {
			break
		}
		sum -= c.Addresses
		at = max(at, c.Time+minute)
	}
	times := make([]int64, len(k.met))
	for i, s := range k.met {
		times[i] = s.Time
	}
	slices.Sort(times)
	for i, t := range times {
		if len(times)-i <= k.goods/2 {
			break
		}
		at = max(at, t+minute)
	}
	return at
}

// BreakerState is everything a Breaker knows.
type BreakerState struct {
	Covered     []Covered
	Met         []Sighting
	From, Until int64
	Trips       int
}

// Restore takes over a state, under the limits of this breaker.
func (k *Breaker) Restore(s BreakerState) error {
	var sum int64
	for i, c := range s.Covered {
		if c.Addresses < 0 || i > 0 && c.Time <= s.Covered[i-1].Time || c.Addresses > math.MaxInt64/2-sum {
			return errors.New("breaker: seconds are not in order")
		}
		sum += c.Addresses
	}
	for i, m := range s.Met {
		if !m.Addr.IsValid() || i > 0 && m.Addr.Compare(s.Met[i-1].Addr) <= 0 {
			return errors.New("breaker: senders are not in order")
		}
	}
	if s.Until < 0 || s.Until < s.From || s.Trips < 0 {
		return errors.New("breaker: impossible times")
	}
	k.covered, k.met = slices.Clone(s.Covered), slices.Clone(s.Met)
	k.from, k.until, k.trips = s.From, s.Until, s.Trips
	return nil
}
