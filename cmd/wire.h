/*
 * wire - joins the rooms that do not see each other: gives core the openers that remotes/ implements.
 */
#ifndef CMD_WIRE_H
#define CMD_WIRE_H

void wire_remotes(void);

#endif
