package cover

import (
	"errors"
	"fmt"
)

// A Rung is a prefix length that may be banned as a whole, and how many
// offenders it has to have.
type Rung struct {
	Bits int // of the prefix
	Need int // offenders, at least 2
}

// Options say what collapses.
type Options struct {
	Price int64  // how many addresses that did not offend one entry is worth
	Rungs []Rung // narrow to wide
}

// The widest prefix that may ever be banned, in either family. It is also what
// keeps sums in range, see ceiling.
const widestBits = 8

// maxPrice is more than any prefix holds, so a higher price changes nothing.
const maxPrice = int64(1) << (64 - widestBits)

// Check returns what is wrong with the options, all of it at once (errors.Join),
// each with the smallest value that works; nil if they are sound. width is that
// of the keys: 32 for IPv4, 64 for IPv6, which is counted in /64.
//
// A rung is a mistake, too, if its price never lets it fire with the members it
// needs, or if narrower rungs, which fire first and end the log lines of the
// range, never leave it as many offenders as it needs.
func (o Options) Check(width int) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case o.Price < 0:
		wrong("price %d is negative: the least is 0", o.Price)
	case o.Price > maxPrice:
		wrong("price %d is out of range: the most is %d", o.Price, maxPrice)
	}
	sound := o.Rungs[:0:0] // the rungs so far that later ones can be measured by
	for _, r := range o.Rungs {
		ok := true
		switch {
		case r.Bits < widestBits:
			wrong("rung /%d is too wide: the widest is /%d", r.Bits, widestBits)
			ok = false
		case r.Bits >= width:
			wrong("rung /%d is no prefix of several: a single /%d needs no rung, the narrowest rung is /%d", r.Bits, width, width-1)
			ok = false
		}
		if r.Need < 2 {
			wrong("rung /%d needs %d: the least is 2", r.Bits, r.Need)
			ok = false
		}
		if n := len(sound); n > 0 && ok {
			switch before := sound[n-1]; {
			case r.Bits == before.Bits:
				wrong("rung /%d is there twice", r.Bits)
				ok = false
			case r.Bits > before.Bits:
				wrong("rung /%d comes after /%d: rungs go from narrow to wide", r.Bits, before.Bits)
				ok = false
			case r.Need < before.Need:
				wrong("rung /%d needs %d, fewer than the narrower /%d: the least is %d", r.Bits, r.Need, before.Bits, before.Need)
				ok = false
			}
		}
		if !ok {
			continue
		}
		if err := o.fires(r, sound, width); err != nil {
			errs = append(errs, err)
		}
		sound = append(sound, r)
	}
	return errors.Join(errs...)
}

// fires says why a rung cannot fire with the members it needs, where the rungs
// before it are narrower.
func (o Options) fires(r Rung, narrower []Rung, width int) error {
	most, by := int64(1)<<(width-r.Bits), Rung{width, 1}
	for _, n := range narrower {
		if int64(n.Need) > int64(1)<<(width-n.Bits) {
			continue // it never fires, which has been said
		}
		// Once one of these has its members it is banned, and no further
		// offender is seen in it.
		if seen := int64(n.Need) << (n.Bits - r.Bits); seen < most {
			most, by = seen, n
		}
	}
	if int64(r.Need) > most {
		if by.Bits == width {
			return fmt.Errorf("rung /%d needs %d but holds only %d: the most is %d", r.Bits, r.Need, most, most)
		}
		return fmt.Errorf("rung /%d needs %d but rung /%d, which fires at %d, leaves it at most %d: the most is %d",
			r.Bits, r.Need, by.Bits, by.Need, most, most)
	}
	if o.Price < 0 || o.Price > maxPrice {
		return nil // has been said
	}
	size, need := int64(1)<<(width-r.Bits), int64(r.Need)
	price := ceil(size-need, need-1)
	if o.Price >= price {
		return nil
	}
	enough := ceil(size+o.Price, o.Price+1)
	if enough <= most {
		return fmt.Errorf("rung /%d never fires with %d members at price %d: the least price is %d, or let it need %d",
			r.Bits, r.Need, o.Price, price, enough)
	}
	return fmt.Errorf("rung /%d never fires with %d members at price %d: the least price is %d", r.Bits, r.Need, o.Price, price)
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }
