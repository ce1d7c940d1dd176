-- Schema 3: open notices are listed by direction without a walk over those of the other.
CREATE INDEX act_open_listed ON act (delivery_direction, number) WHERE delivery_open = 1;
