/* Looks one name up for both families, as programs do, and says what its C library said. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#define NO_DATA_OF_BOTH_LIBRARIES -5 /* EAI_NODATA, which not every header gives */

int main(int count, char **arguments)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (count != 2)
        return 2;
    switch (getaddrinfo(arguments[1], NULL, &hints, &found)) {
    case 0:
        return puts("found") < 0;
    case EAI_NONAME:
    case NO_DATA_OF_BOTH_LIBRARIES:
        return puts("not found") < 0;
    default:
        return puts("failed") < 0;
    }
}
